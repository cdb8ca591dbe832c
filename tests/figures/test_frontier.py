import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polymlops.errors import MetricError
from polymlops.figures.frontier import FRONT, Axis, FrontierPoint, front_band, front_shares, frontier_figure
from polymlops.records import Estimate

DIRECTIONS = list(itertools.product([True, False], repeat=2))
COORDINATES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=8)


def point(arm, x, y, draws=None):
    cloud = np.empty((0, 2)) if draws is None else np.asarray(draws, dtype=float)
    return FrontierPoint(arm, Estimate(float(x)), Estimate(float(y)), cloud)


def dominates(a, b, maximise):
    signs = [1 if up else -1 for up in maximise]
    better = [s * p >= s * q for s, p, q in zip(signs, a, b, strict=True)]
    return all(better) and tuple(a) != tuple(b)


def brute_force_front(points, maximise):
    return {p for p in points if not any(dominates(q, p, maximise) for q in points)}


def drawn_front(figure):
    """Corners of the staircase that are arms: the others are dominated by their two neighbours."""
    (line,) = [line for line in figure.axes[0].lines if line.get_gid() == FRONT]
    return [tuple(corner) for corner in line.get_xydata()]


@pytest.mark.parametrize("maximise", DIRECTIONS)
@settings(max_examples=15, deadline=None)
@given(COORDINATES)
def test_the_front_drawn_is_the_front_by_brute_force(maximise, coordinates):
    arms = [point(f"arm{i}", x, y) for i, (x, y) in enumerate(coordinates)]
    corners = drawn_front(frontier_figure(arms, Axis("x", maximise[0]), Axis("y", maximise[1])))
    expected = brute_force_front(set(coordinates), maximise)
    assert expected <= set(corners)
    inner = set(corners) - expected
    # A corner between two front points is as bad as the worse of both on each axis, never beyond the front.
    assert all(any(dominates(p, corner, maximise) for p in expected) for corner in inner)
    # Each stretch of the staircase is level or upright.
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in itertools.pairwise(corners))


@pytest.mark.parametrize("maximise", DIRECTIONS)
def test_filled_markers_are_the_front(maximise):
    rng = np.random.default_rng(1)
    coordinates = [tuple(row) for row in rng.random((7, 2))]
    arms = [point(f"arm{i}", *row) for i, row in enumerate(coordinates)]
    figure = frontier_figure(arms, Axis("x", maximise[0]), Axis("y", maximise[1]))
    filled = {
        tuple(line.get_xydata()[0])
        for container in figure.axes[0].containers
        for line in container.lines[:1]
        if line.get_markerfacecolor() != "white"
    }
    assert filled == brute_force_front(coordinates, maximise)


@pytest.mark.parametrize("maximise", DIRECTIONS)
def test_the_band_is_the_best_height_that_is_reached(maximise):
    rng = np.random.default_rng(2)
    draws_RA2 = rng.random((201, 3, 2))
    grid = np.array([0.2, 0.5, 0.8])
    low_high_2G = front_band(draws_RA2, grid, maximise)
    for column, x in enumerate(grid):
        heights = []
        for draw in draws_RA2:
            reached = [row[1] for row in draw if (row[0] >= x if maximise[0] else row[0] <= x)]
            nothing = -np.inf if maximise[1] else np.inf
            heights.append((max if maximise[1] else min)(reached, default=nothing))
        ordered = sorted(heights, reverse=not maximise[1])
        assert low_high_2G[0, column] == ordered[5]  # the 6th of 201 is the 2.5 % quantile
        assert low_high_2G[1, column] == ordered[195]


def test_front_shares_count_the_resamples_on_the_front():
    draws = {"a": [[1, 1], [1, 1], [3, 3], [1, 1]], "b": [[2, 2]] * 4}
    shares = front_shares([point(arm, *np.mean(rows, axis=0), rows) for arm, rows in draws.items()])
    assert shares == {"a": 0.25, "b": 0.75}
    assert np.isnan(front_shares([point("a", 1, 1)])["a"])
    with pytest.raises(MetricError, match="together"):
        front_shares([point("a", 1, 1), point("b", 1, 1, [[1, 1]])])


def test_intervals_clouds_and_arrows_are_drawn():
    rng = np.random.default_rng(3)
    arm = FrontierPoint("baseline", Estimate(0.5, 0.4, 0.7), Estimate(0.3, 0.2, 0.35), rng.normal(0.4, 0.05, (50, 2)))
    figure = frontier_figure([arm])
    axes = figure.axes[0]
    assert axes.get_xlabel() == "mean true quality (better →)"
    assert axes.get_ylabel() == "semantic diversity (better →)"
    bars = [collection.get_segments()[0] for collection in axes.containers[0].lines[2]]
    np.testing.assert_allclose(bars, [[[0.4, 0.3], [0.7, 0.3]], [[0.5, 0.2], [0.5, 0.35]]])
    assert any(len(line.get_xydata()) == 50 for line in axes.lines)
    figure.canvas.draw()
    assert figure.legends[0].get_window_extent().y0 >= axes.get_window_extent().y1


def test_no_arm_is_refused():
    with pytest.raises(MetricError):
        frontier_figure([])
