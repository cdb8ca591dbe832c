"""Distances against apted, by hand, and as a metric."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from polymlops.data.world_programs import programs
from polymlops.errors import MetricError
from polymlops.evaluation.program_trees import ProgramTree, program_tree
from polymlops.evaluation.tree_distance import MAX_TREES, distance_matrix, edit_distance, normalised

PROBLEM = next(problem for problem in programs(0, "test") if problem.entry_point == "keep_below")
BODIES = (*PROBLEM.solutions, *PROBLEM.wrong)
SOURCES = tuple(PROBLEM.prompt + body for body in BODIES)


def brackets(tree: ProgramTree, node: int = 0) -> str:
    """The tree as apted reads it, with labels as numbers: it takes no braces inside."""
    label = format(abs(int.from_bytes(tree.labels[node].encode(), "big")), "x")
    return "{" + label + "".join(brackets(tree, child) for child in tree.children[node]) + "}"


def test_distances_are_those_of_apted_on_a_thousand_pairs():
    apted = pytest.importorskip("apted", reason="apted, the peer that distances are checked against, is not installed")
    from apted.helpers import Tree

    sources = [
        p.prompt + body for split in ("train", "test") for p in programs(1, split) for body in p.solutions + p.wrong
    ]
    rng = np.random.default_rng(0)
    chosen = [tuple(sources[i] for i in rng.integers(0, len(sources), 2)) for _ in range(1_000)]
    pairs = [[program_tree(source, bool(number % 2)) for source in pair] for number, pair in enumerate(chosen)]
    theirs = [apted.APTED(*(Tree.from_text(brackets(tree)) for tree in pair)).compute_edit_distance() for pair in pairs]
    assert [edit_distance(*pair) for pair in pairs] == theirs
    assert len(set(theirs)) > 15


LEAF = ProgramTree(("a",), ((),))


@pytest.mark.parametrize(
    ("left", "right", "distance"),
    [
        (LEAF, LEAF, 0),
        (LEAF, ProgramTree(("b",), ((),)), 1),
        (LEAF, ProgramTree(("a", "b"), ((1,), ())), 1),
        (ProgramTree(("a", "b", "c"), ((1, 2), (), ())), ProgramTree(("a", "b", "c"), ((1,), (2,), ())), 2),
    ],
)
def test_distances_by_hand(left, right, distance):
    assert edit_distance(left, right) == edit_distance(right, left) == distance
    nodes = len(left.labels) + len(right.labels)
    assert distance_matrix([left, right])[0, 1] == normalised(distance, nodes) == 2 * distance / (nodes + distance)


def test_normalised_distances_are_a_metric_within_the_unit_interval():
    trees = [program_tree(source) for source in SOURCES]
    distances = distance_matrix(trees)
    assert (distances == distances.T).all()
    assert distances.min() == 0
    assert distances.max() < 1
    for i, j, k in itertools.product(range(len(trees)), repeat=3):
        assert distances[i, k] <= distances[i, j] + distances[j, k] + 1e-12


def test_too_many_programs_are_refused():
    with pytest.raises(MetricError, match="take fewer"):
        distance_matrix([LEAF] * (MAX_TREES + 1))
