"""What training on one domain gained in every domain, in quality and diversity; open markers where it is unsure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from polymlops.config.cross_domain import DomainView
from polymlops.errors import MetricError
from polymlops.evaluation.cross_domain_records import CrossDomainReport, Gain
from polymlops.figures.style import GREY, ArmStyle, arm_styles, dress, legend_above, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 7.0, 2.6  # inches, both columns of a page
SPREAD = 0.6  # of the place of a domain, over which its arms stand side by side
MARKER = 4.5


@dataclass(frozen=True, slots=True)
class _Panel:
    """One role, the gains in it by domain, and how its axis is called."""

    title: str
    gains: Mapping[str, Sequence[Gain]]


def cross_domain_figure(report: CrossDomainReport, domains: Mapping[str, DomainView]) -> Figure:
    """Draw each trained arm's gain over the base, with its interval, for the quality and the diversity of each domain.

    The domain that the arms were trained on has a grey ground. A marker is open where the interval holds 0; an
    undefined gain is not drawn.

    Raises: MetricError where no gain is defined.
    """
    panels = [
        _Panel("quality", _chosen(report, {name: view.quality for name, view in domains.items()})),
        _Panel("diversity", _chosen(report, {name: view.diversity for name, view in domains.items()})),
    ]
    arms = list(dict.fromkeys(gain.arm for panel in panels for gains in panel.gains.values() for gain in gains))
    if not arms:
        raise MetricError("no gain over the base is defined in any domain: there is nothing to draw")
    styles = arm_styles(arms)
    figure = new_figure(height=HEIGHT, width=WIDTH)
    for axes, panel in zip(figure.subplots(1, len(panels)), panels, strict=True):
        _draw(axes, panel, styles)
        axes.set_title(panel.title)
        axes.set_ylabel("gain over the base")
        dress(axes)
    legend_above(figure, _handles(styles), columns=4)
    return figure


def _chosen(report: CrossDomainReport, metrics: Mapping[str, str]) -> dict[str, list[Gain]]:
    """Defined gains of each domain in its own metric."""
    return {
        domain: [
            gain
            for gain in report.gains
            if (gain.domain, gain.metric) == (domain, metric) and not math.isnan(gain.difference.value)
        ]
        for domain, metric in metrics.items()
    }


def _draw(axes: Axes, panel: _Panel, styles: Mapping[str, ArmStyle]) -> None:
    axes.axhline(0, color=GREY, linewidth=0.8, zorder=1)
    places = {arm: (i + 0.5) / len(styles) - 0.5 for i, arm in enumerate(styles)}
    for position, gains in enumerate(panel.gains.values()):
        if any(gain.home for gain in gains):
            axes.axvspan(position - 0.5, position + 0.5, color=GREY, alpha=0.1, linewidth=0, zorder=0)
        for gain in gains:
            _mark(axes, position + SPREAD * places[gain.arm], gain, styles[gain.arm])
    axes.set_xticks(range(len(panel.gains)), list(panel.gains))
    axes.set_xlim(-0.5, len(panel.gains) - 0.5)


def _mark(axes: Axes, x: float, gain: Gain, style: ArmStyle) -> None:
    value, low, high = gain.difference.value, gain.difference.low, gain.difference.high
    if not math.isnan(low):
        axes.plot([x, x], [low, high], color=style.colour, linewidth=1.2, zorder=2)
    face = style.colour if gain.distinguishable else "white"
    look: dict[str, Any] = {"marker": style.marker, "markersize": MARKER, "mec": style.colour, "mfc": face}
    axes.plot([x], [value], linestyle="", zorder=3, gid=f"{gain.domain}/{gain.arm}", **look)


def _handles(styles: Mapping[str, ArmStyle]) -> list:
    from matplotlib.lines import Line2D

    look: dict[str, Any] = {"linestyle": "", "markersize": MARKER}
    return [
        *(Line2D([], [], color=s.colour, marker=s.marker, label=s.label, **look) for s in styles.values()),
        Line2D([], [], color=GREY, marker="o", mfc="white", label="interval holds 0", **look),
    ]
