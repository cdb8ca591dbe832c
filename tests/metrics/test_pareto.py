import itertools
import math

import numpy as np
import pytest
from enumeration import checked
from hypothesis import given
from hypothesis import strategies as st

from polymlops.errors import MetricError
from polymlops.metrics.pareto import hypervolume, pareto_front

# Integers make equal coordinates and equal points the rule.
cases = st.integers(1, 4).flatmap(
    lambda axes: st.tuples(
        st.lists(st.lists(st.integers(0, 4), min_size=axes, max_size=axes), min_size=1, max_size=10),
        st.lists(st.booleans(), min_size=axes, max_size=axes),
    )
)


def dominates(a, b, maximise):
    ahead = [x - y if more else y - x for x, y, more in zip(a, b, maximise, strict=True)]
    return min(ahead) >= 0 and max(ahead) > 0


@checked
@given(cases)
def test_the_front_is_what_nothing_dominates_in_every_direction(case):
    points, maximise = case
    expected = [not any(dominates(other, point, maximise) for other in points) for point in points]
    assert pareto_front(points, maximise).tolist() == expected


@checked
@given(cases)
def test_the_hypervolume_counts_dominated_unit_cells(case):
    points, maximise = case
    reference = [0 if more else 4 for more in maximise]
    cells = itertools.product(range(4), repeat=len(maximise))
    heights = [[value if more else 4 - value for value, more in zip(p, maximise, strict=True)] for p in points]
    covered = sum(any(all(h > c for h, c in zip(height, cell, strict=True)) for height in heights) for cell in cells)
    assert hypervolume(points, reference, maximise) == pytest.approx(covered)


def test_flipping_an_axis_and_its_direction_changes_nothing():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200, 2))
    front = pareto_front(points)
    np.testing.assert_array_equal(front, pareto_front(points * [1, -1], (True, False)))
    assert not np.array_equal(front, pareto_front(points, (True, False)))


def test_equal_points_share_the_front():
    assert pareto_front([[1, 2], [1, 2], [0, 0]]).tolist() == [True, True, False]


def test_no_points():
    assert pareto_front([]).shape == (0,)
    assert hypervolume([], (0, 0)) == 0.0


@pytest.mark.parametrize(
    ("points", "maximise"), [([[1, math.nan]], (True, True)), ([[1, 2, 3]], (True, True)), ([1, 2], (True, True))]
)
def test_points_without_order_are_refused(points, maximise):
    with pytest.raises(MetricError):
        pareto_front(points, maximise)
    with pytest.raises(MetricError):
        hypervolume(points, (0, 0), maximise)


def test_the_reference_must_have_a_value_for_each_axis():
    with pytest.raises(MetricError, match="reference"):
        hypervolume([[1, 2]], [0], (True, True))
