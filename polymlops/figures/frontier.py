"""Quality against diversity: where each arm lies, how sure that is, and which arms no other arm beats on both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from polymlops.errors import MetricError
from polymlops.figures.style import GREY, ArmStyle, arm_styles, better, dress, legend_above, new_figure
from polymlops.metrics.arrays import Floats
from polymlops.metrics.pareto import pareto_front
from polymlops.records import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CLOUD = 400  # draws shown of each arm
BAND_DRAWS, BAND_GRID, LEVEL = 2000, 160, 0.95
DARK, STAIRS = "#404040", (0, (4, 2))
FRONT = "front"  # gid of the front's line, by which a test finds it


@dataclass(frozen=True, slots=True)
class FrontierPoint:
    """One arm: its means on both axes, and joint bootstrap draws of them, `cloud_R2` in the order (x, y).

    Draw r of every arm comes from the same resampled prompts, so that draws can be compared between arms.
    """

    arm: str
    x: Estimate
    y: Estimate
    cloud_R2: Floats


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis shows and whether more of it is better."""

    label: str
    maximise: bool = True


QUALITY, DIVERSITY = Axis("mean true quality"), Axis("semantic diversity")


def front_shares(points: Sequence[FrontierPoint], maximise: tuple[bool, bool] = (True, True)) -> dict[str, float]:
    """Share of the resamples in which each arm is on the front; NaN without draws.

    Raises: MetricError where arms have different numbers of draws.
    """
    if len({len(point.cloud_R2) for point in points}) > 1:
        raise MetricError("arms have different numbers of draws: resample them together")
    draws_RA2 = np.stack([point.cloud_R2 for point in points], axis=1)
    if len(draws_RA2) == 0:
        return {point.arm: float("nan") for point in points}
    on_front_RA = np.array([pareto_front(draw_A2, maximise) for draw_A2 in draws_RA2])
    return {point.arm: float(share) for point, share in zip(points, on_front_RA.mean(axis=0), strict=True)}


def frontier_figure(points: Sequence[FrontierPoint], x: Axis = QUALITY, y: Axis = DIVERSITY) -> Figure:
    """Draw the arms with intervals and bootstrap clouds, and the front as a staircase with its 95 % band.

    The band holds, at each x, the best y that some arm reaches with that x or better, in 95 % of the resamples. Open
    markers are arms that another arm beats on both axes.

    Raises: MetricError without points, or where a mean is NaN.
    """
    if not points:
        raise MetricError("a frontier needs at least one arm")
    centres_A2 = np.array([[point.x.value, point.y.value] for point in points])
    front_A = pareto_front(centres_A2, (x.maximise, y.maximise))
    styles = arm_styles(point.arm for point in points)
    figure = new_figure(height=3.0)
    axes = figure.add_subplot()
    for point, on_front in zip(points, front_A, strict=True):
        _draw(axes, point, styles[point.arm], bool(on_front))
    _draw_band(axes, points, centres_A2[front_A, 0], x, y)
    stairs_N2 = _staircase(centres_A2[front_A], (x.maximise, y.maximise))
    axes.plot(stairs_N2[:, 0], stairs_N2[:, 1], color=DARK, linewidth=0.9, linestyle=STAIRS, zorder=2, gid=FRONT)
    axes.set_xlabel(better(x.label, x.maximise))
    axes.set_ylabel(better(y.label, y.maximise))
    axes.margins(0.08)
    dress(axes)
    legend_above(figure, _handles(points, styles, front_A))
    return figure


def _draw(axes: Axes, point: FrontierPoint, style: ArmStyle, on_front: bool) -> None:
    cloud_R2 = point.cloud_R2[:CLOUD]
    axes.plot(cloud_R2[:, 0], cloud_R2[:, 1], ".", color=style.colour, markersize=2, alpha=0.18, mew=0, zorder=1)
    axes.errorbar(
        point.x.value,
        point.y.value,
        xerr=_arms_of_error(point.x),
        yerr=_arms_of_error(point.y),
        fmt=style.marker,
        color=style.colour,
        markersize=5,
        markerfacecolor=style.colour if on_front else "white",
        elinewidth=0.9,
        zorder=4,
    )


def _draw_band(axes: Axes, points: Sequence[FrontierPoint], front_x: Floats, x: Axis, y: Axis) -> None:
    draws_RA2 = np.stack([point.cloud_R2[:BAND_DRAWS] for point in points], axis=1)
    if len(draws_RA2) == 0:
        return
    xs_RA, ys_RA = draws_RA2[..., 0], draws_RA2[..., 1]
    start, end = (front_x.min(), xs_RA.max()) if x.maximise else (xs_RA.min(), front_x.max())
    grid_G = np.linspace(start, end, BAND_GRID)
    band_2G = front_band(draws_RA2, grid_G, (x.maximise, y.maximise))
    # Where a resample reaches no such x at all the band runs to the edge of the data.
    worst = ys_RA.min() if y.maximise else ys_RA.max()
    reached_G = np.isfinite(band_2G).any(axis=0)
    edges_2G = np.where(np.isfinite(band_2G), band_2G, worst)
    axes.fill_between(grid_G, edges_2G[0], edges_2G[1], where=reached_G, color=DARK, alpha=0.09, linewidth=0, zorder=0)


def front_band(draws_RA2: Floats, grid_G: Floats, maximise: tuple[bool, bool]) -> Floats:
    """Ends (2, G) of the 95 % interval of the front's y at each x of the grid; infinite where no arm reaches that x."""
    x_sign, y_sign = (1 if up else -1 for up in maximise)
    reaches_RAG = x_sign * draws_RA2[..., :1] >= x_sign * grid_G
    height_RG = np.where(reaches_RAG, y_sign * draws_RA2[..., 1:], -np.inf).max(axis=1)
    tails = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    return y_sign * np.quantile(height_RG, tails, axis=0, method="inverted_cdf")


def _arms_of_error(estimate: Estimate) -> list[list[float]] | None:
    """Distances to the ends as errorbar wants them; none where there is no interval."""
    if np.isnan([estimate.low, estimate.high]).any():
        return None
    # A percentile interval of a few prompts may end within the mean: a negative length is no length.
    return [[max(0.0, estimate.value - estimate.low)], [max(0.0, estimate.high - estimate.value)]]


def _staircase(front_N2: Floats, maximise: tuple[bool, bool]) -> Floats:
    """Corners of the edge of the dominated region: from each front point to the next, the worse value of both first."""
    ordered_N2 = front_N2[front_N2[:, 0].argsort(kind="stable")]
    corners = [ordered_N2[0]]
    for here, following in pairwise(ordered_N2):
        pair_22 = np.stack([here, following])
        corners += [np.where(maximise, pair_22.min(axis=0), pair_22.max(axis=0)), following]
    return np.array(corners)


def _handles(points: Sequence[FrontierPoint], styles: Mapping[str, ArmStyle], front_A: np.ndarray) -> list:
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            linestyle="",
            marker=styles[point.arm].marker,
            markersize=5,
            color=styles[point.arm].colour,
            markerfacecolor=styles[point.arm].colour if on_front else "white",
            label=styles[point.arm].label,
        )
        for point, on_front in zip(points, front_A, strict=True)
    ]
    handles.append(Line2D([], [], color=DARK, linewidth=0.9, linestyle=STAIRS, label="Pareto front, 95 % band"))
    if not front_A.all():
        open_marker: dict[str, Any] = {
            "linestyle": "",
            "marker": "o",
            "markersize": 5,
            "color": GREY,
            "markerfacecolor": "white",
        }
        handles.append(Line2D([], [], label="open: dominated", **open_marker))
    return handles
