"""Diversity over the course of training, the arms together."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from polymlops.errors import MetricError
from polymlops.figures.style import GREY, TEXT_SIZE, ArmStyle, arm_styles, dress, legend_above, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UP, DOWN = "\N{UPWARDS ARROW}", "\N{DOWNWARDS ARROW}"
# The arrow says which way diversity grows (for the pass rate: which way is better).
PANELS: Mapping[str, str] = {
    "self_bleu": f"Self-BLEU {DOWN}",
    "distinct_2": f"Distinct-2 {UP}",
    "semantic_diversity": f"Semantic diversity {UP}",
    "token_entropy": f"Token entropy, nats {UP}",
    "true_intents": f"True intents {UP}",
    "pass_rate": f"Pass rate {UP}",
}
COLUMNS = 2


@dataclass(frozen=True, slots=True)
class Trajectory:
    """Measurements of one training run by optimizer step; each point has `step` and any of the keys of `PANELS`."""

    arm: str
    seed: int
    points: tuple[Mapping[str, float], ...]


def dynamics_figure(trajectories: Sequence[Trajectory]) -> Figure:
    """Draw every measured quantity over optimizer steps: seeds as thin lines, their mean bold.

    Raises: MetricError where there is nothing to draw.
    """
    panels = [key for key in PANELS if any(_series(run, key) for run in trajectories)]
    if not panels:
        raise MetricError("the trajectories hold no measurement to draw")
    from matplotlib.ticker import MaxNLocator

    styles = arm_styles(run.arm for run in trajectories)
    rows = math.ceil(len(panels) / COLUMNS)
    figure = new_figure(height=0.45 + 1.3 * rows)
    grid = figure.subplots(rows, min(COLUMNS, len(panels)), sharex=True, squeeze=False)
    for key, axes in zip(panels, grid.flat, strict=False):
        for arm, style in styles.items():
            _draw(axes, [_series(run, key) for run in trajectories if run.arm == arm], style)
        axes.set_title(PANELS[key])
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        dress(axes)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    figure.supxlabel("optimizer step", fontsize=TEXT_SIZE)
    legend_above(figure, _handles(trajectories, styles))
    return figure


def mean_over_seeds(series: Sequence[Mapping[float, float]]) -> dict[float, float]:
    """Mean value at each step that every run has; a mean over some runs would jump where one is missing."""
    values: dict[float, list[float]] = defaultdict(list)
    for run in series:
        for step, value in run.items():
            values[step].append(value)
    return {step: sum(found) / len(found) for step, found in sorted(values.items()) if len(found) == len(series)}


def _series(run: Trajectory, key: str) -> dict[float, float]:
    """Step -> value where it was measured and has a meaning."""
    found = {point["step"]: point[key] for point in run.points if point.get(key) is not None}
    return {step: value for step, value in sorted(found.items()) if not math.isnan(value)}


def _draw(axes: Axes, series: Sequence[Mapping[float, float]], style: ArmStyle) -> None:
    measured = [run for run in series if run]
    if not measured:
        return
    if len(measured) > 1:
        for run in measured:
            axes.plot(list(run), list(run.values()), color=style.colour, linewidth=0.6, alpha=0.45)
    mean = mean_over_seeds(measured)
    axes.plot(list(mean), list(mean.values()), color=style.colour, linewidth=1.6, marker=style.marker, markersize=2.2)


def _handles(trajectories: Sequence[Trajectory], styles: Mapping[str, ArmStyle]) -> list:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=style.colour, linewidth=1.6, marker=style.marker, markersize=3, label=style.label)
        for style in styles.values()
    ]
    if any(sum(run.arm == arm for run in trajectories) > 1 for arm in styles):
        handles.append(Line2D([], [], color=GREY, linewidth=0.6, label="one seed"))
    return handles
