"""Curves over k, the number of candidates shown: pass@k, USQ@k and the oracle, with bands, for any set of arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from polymlops.errors import MetricError
from polymlops.figures.style import GREY, ArmStyle, arm_styles, dress, legend_above, new_figure
from polymlops.records import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Quantity = Literal["pass@k", "USQ@k", "oracle@k"]
LINES: Mapping[Quantity, Literal["-", "--"]] = {"pass@k": "-", "USQ@k": "-", "oracle@k": "--"}
# Above this a linear axis would hide the small k that most users see.
LINEAR_UP_TO = 32


@dataclass(frozen=True, slots=True)
class Curve:
    """One quantity of one arm over k; `collapse_k` is the k after which more candidates buy next to nothing, if any."""

    arm: str
    quantity: Quantity
    points: Mapping[int, Estimate]
    collapse_k: int | None = None


def curves_figure(curves: Sequence[Curve]) -> Figure:
    """Draw curves with their intervals as bands; collapse points are open diamonds on the curve.

    Raises: MetricError without curves.
    """
    if not curves:
        raise MetricError("a figure of curves needs at least one curve")
    styles = arm_styles(curve.arm for curve in curves)
    figure = new_figure(height=2.7)
    axes = figure.add_subplot()
    for curve in curves:
        _draw(axes, curve, styles[curve.arm])
    quantities = list(dict.fromkeys(curve.quantity for curve in curves))
    axes.set_xlabel("k, candidates shown")
    axes.set_ylabel(", ".join(quantities))
    _scale_k(axes, sorted({k for curve in curves for k in curve.points}))
    dress(axes)
    legend_above(figure, _handles(curves, styles, quantities))
    return figure


def _draw(axes: Axes, curve: Curve, style: ArmStyle) -> None:
    ks = sorted(curve.points)
    estimates = [curve.points[k] for k in ks]
    bounds = {"low": [e.low for e in estimates], "high": [e.high for e in estimates]}
    # The oracle of an arm lies on the arm's own colour: a full band under it would hide the curve of interest.
    opacity = 0.16 if curve.quantity != "oracle@k" else 0.07
    axes.fill_between(ks, bounds["low"], bounds["high"], color=style.colour, alpha=opacity, linewidth=0)
    line: dict[str, Any] = {"color": style.colour, "linewidth": 1.3, "linestyle": LINES[curve.quantity]}
    if ks[-1] <= LINEAR_UP_TO:
        line |= {"marker": style.marker, "markersize": 2.6}
    axes.plot(ks, [e.value for e in estimates], **line)
    if curve.collapse_k is not None and curve.collapse_k in curve.points:
        height = curve.points[curve.collapse_k].value
        axes.plot(curve.collapse_k, height, "D", markersize=5.5, mfc="white", mec=style.colour, mew=1.1, zorder=5)


def _scale_k(axes: Axes, ks: Sequence[int]) -> None:
    from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, StrMethodFormatter

    if ks[-1] <= LINEAR_UP_TO:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, steps=[1, 2, 5, 10]))
        axes.set_xlim(ks[0] - 0.02 * (ks[-1] - ks[0]) - 0.1, ks[-1] + 0.02 * (ks[-1] - ks[0]) + 0.1)
        return
    axes.set_xscale("log", base=2)
    powers = 2.0 ** np.arange(np.floor(np.log2(ks[0])), np.floor(np.log2(ks[-1])) + 1)
    axes.xaxis.set_major_locator(FixedLocator(powers.tolist()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))


def _handles(curves: Sequence[Curve], styles: Mapping[str, ArmStyle], quantities: Sequence[Quantity]) -> list:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=style.colour, linewidth=1.5, marker=style.marker, markersize=3, label=style.label)
        for style in styles.values()
    ]
    if len({LINES[quantity] for quantity in quantities}) > 1:
        handles += [Line2D([], [], color=GREY, linestyle=LINES[name], linewidth=1.2, label=name) for name in quantities]
    if any(curve.collapse_k in curve.points for curve in curves):
        mark: dict[str, Any] = {"marker": "D", "linestyle": "", "markersize": 5.5, "mfc": "white", "mec": GREY}
        handles.append(Line2D([], [], label="collapse point", **mark))
    return handles
