"""Proxy and gold over the distance from the start: where a reward goes on rising while what it stands for does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from polymlops.errors import MetricError
from polymlops.figures.style import arm_styles, better, dress, legend_above, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class OptimisationPath:
    """One run's measurements in order of training, each (M,).

    `kl_M` to the start in nats a reply, `proxy_M` the reward that training maximises, `gold_M` the true quality, both
    of the same held-out candidates.
    """

    arm: str
    seed: int
    kl_M: Sequence[float]
    proxy_M: Sequence[float]
    gold_M: Sequence[float]


def over_optimisation_figure(paths: Sequence[OptimisationPath]) -> Figure:
    """Draw the gain of proxy and gold over their start, against the square root of the KL, one line a run.

    Raises: MetricError without runs.

    Source: Gao et al. 2022, arXiv:2210.10760, figure 1; theirs is over a gold reward model, ours over the truth.
    """
    if not paths:
        raise MetricError("a figure of over-optimisation needs at least one run")
    styles = arm_styles(path.arm for path in paths)
    figure = new_figure(height=3.8)
    upper, lower = figure.subplots(2, 1, sharex=True)
    for path in paths:
        style = styles[path.arm]
        for axes, values_M in ((upper, path.proxy_M), (lower, path.gold_M)):
            _draw(axes, np.asarray(path.kl_M), np.asarray(values_M), {"color": style.colour, "marker": style.marker})
    upper.set_ylabel(better("reward, gain", maximise=True))
    lower.set_ylabel(better("true quality, gain", maximise=True))
    lower.set_xlabel("square root of the KL to the start, nats a reply")
    for axes in (upper, lower):
        axes.axhline(0, color="#999999", linewidth=0.6)
        dress(axes)
    legend_above(figure, _handles(styles))
    return figure


def _draw(axes: Axes, kl_M: np.ndarray, values_M: np.ndarray, look: dict[str, Any]) -> None:
    axes.plot(np.sqrt(np.maximum(kl_M, 0)), values_M - values_M[0], linewidth=1.1, markersize=2.8, alpha=0.85, **look)


def _handles(styles: dict) -> list:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color=style.colour, marker=style.marker, markersize=3, linewidth=1.5, label=style.label)
        for style in styles.values()
    ]
