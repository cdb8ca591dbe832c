"""Diversity of programs: means and clusters against every pair and every subset of the samples."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polymlops.data.world_programs import programs
from polymlops.errors import MetricError
from polymlops.evaluation.code_diversity import (
    SAME_ALGORITHM,
    DiversityRule,
    ProblemSamples,
    clusters,
    code_diversities,
    code_diversity,
    mean_distance,
)
from polymlops.evaluation.program_trees import program_tree
from polymlops.evaluation.tree_distance import distance_matrix, edit_distance, normalised

PROBLEM = next(problem for problem in programs(0, "test") if problem.entry_point == "keep_below")
BODIES = (*PROBLEM.solutions, *PROBLEM.wrong)
SOURCES = tuple(PROBLEM.prompt + body for body in BODIES)

choices = st.lists(
    st.tuples(st.sampled_from([*SOURCES, "def (", SOURCES[0].replace("items", "xs")]), st.booleans()), max_size=9
)


def by_enumeration(sources):
    """Mean over all pairs of samples, one distance each."""
    trees = [tree for source in sources if (tree := program_tree(source))]
    pairs = list(itertools.combinations(trees, 2))
    values = [normalised(edit_distance(a, b), len(a.labels) + len(b.labels)) for a, b in pairs]
    return np.mean(values) if values else math.nan


@settings(max_examples=40, deadline=None)
@given(choices)
def test_means_equal_those_over_every_pair_of_samples(samples):
    sources, passed = [source for source, _ in samples], [ok for _, ok in samples]
    found = code_diversity(ProblemSamples("t", tuple(sources), tuple(passed)), DiversityRule(ks=(1, 2)))
    assert found.distance == pytest.approx(by_enumeration(sources), nan_ok=True)
    passing = [source for source, ok in samples if ok]
    assert found.distance_passing == pytest.approx(by_enumeration(passing), nan_ok=True)
    assert found.unparsable == sources.count("def (")
    assert found.passing == sum(source != "def (" for source in passing)
    assert found.unique == len({program_tree(source) for source in sources} - {None})


@settings(max_examples=30, deadline=None)
@given(choices, st.integers(1, 4))
def test_distinct_algorithms_equal_enumeration(samples, k):
    sources, passed = tuple(source for source, _ in samples), tuple(ok for _, ok in samples)
    found = code_diversity(ProblemSamples("t", sources, passed), DiversityRule(ks=(k,)))
    trees = [program_tree(source) for source in sources]
    unique = sorted({tree for tree in trees if tree}, key=lambda tree: (tree.labels, tree.children))
    labels = clusters(distance_matrix(unique), SAME_ALGORITHM)
    named = [labels[unique.index(tree)] if tree else None for tree in trees]

    def expected(counted):
        subsets = list(itertools.combinations(range(len(named)), k))
        sizes = [len({named[i] for i in subset if counted[i]} - {None}) for subset in subsets]
        return np.mean(sizes) if sizes else math.nan

    assert found.distinct[k] == pytest.approx(expected([True] * len(named)), nan_ok=True)
    assert found.distinct_passing[k] == pytest.approx(expected(passed), nan_ok=True)


def test_clusters_are_no_wider_than_the_threshold():
    distances = distance_matrix([program_tree(p.prompt + b) for p in programs(0, "test")[:12] for b in p.solutions])
    labels = clusters(distances, SAME_ALGORITHM)
    assert 1 < len(set(labels)) < len(labels)
    for label in set(labels):
        members = labels == label
        assert distances[np.ix_(members, members)].max() <= SAME_ALGORITHM
    assert len(set(clusters(distances, 1))) == 1
    assert clusters(distances[:1, :1], 0.5).tolist() == [0]
    with pytest.raises(MetricError, match="outside"):
        clusters(distances, 1.5)


def test_a_loop_and_a_comprehension_are_two_algorithms_and_another_name_is_none():
    comprehension, _, loop = (PROBLEM.prompt + body for body in PROBLEM.solutions)
    renamed = loop.replace("kept", "out")
    found = code_diversity(ProblemSamples("t", (comprehension, loop, renamed)), DiversityRule(ks=(3,)))
    assert (found.unique, found.algorithms, found.distinct[3]) == (2, 2, 2)
    kept = code_diversity(ProblemSamples("t", (comprehension, loop, renamed)), DiversityRule(ks=(3,), reading="kept"))
    assert kept.unique == 3


def test_what_has_no_verdict_no_pair_or_no_syntax_is_nan():
    found = code_diversity(ProblemSamples("t", ("def (", SOURCES[0])), DiversityRule(ks=(1, 3)))
    assert (found.samples, found.unparsable, found.unique, found.algorithms) == (2, 1, 1, 1)
    assert math.isnan(found.distance)
    assert math.isnan(found.distance_passing)
    assert math.isnan(found.algorithms_passing)
    assert found.distinct[1] == 0.5
    assert math.isnan(found.distinct[3])
    assert math.isnan(found.distinct_passing[1])
    nothing = code_diversity(ProblemSamples("t", (), ()), DiversityRule())
    assert nothing.samples == nothing.algorithms == 0
    assert all(math.isnan(value) for value in (nothing.distance, *nothing.distinct.values()))
    none_passes = code_diversity(ProblemSamples("t", SOURCES, (False,) * len(SOURCES)), DiversityRule(ks=(1,)))
    assert none_passes.algorithms_passing == none_passes.distinct_passing[1] == 0
    assert math.isnan(none_passes.distance_passing)


def test_verdicts_for_other_programs_are_refused():
    with pytest.raises(MetricError, match="2 verdicts for 1"):
        code_diversity(ProblemSamples("t", SOURCES[:1], (True, False)), DiversityRule())


def test_weights_are_exact():
    distances = np.array([[0, 0.5], [0.5, 0]])
    # Three of one and one of the other: 3 of the 6 pairs are apart.
    assert mean_distance(distances, np.array([0, 0, 0, 1])) == 0.25
    assert math.isnan(mean_distance(distances, np.array([1])))


PROGRAM = """
import sys
from polymlops.evaluation.code_diversity import *
if __name__ == "__main__":
    problems = [ProblemSamples(str(n), ("x = 1", "x = y", f"x = f({n})"), (True, True, False)) for n in range(3)]
    assert code_diversities(problems, DiversityRule(ks=(2,)), 2) == code_diversities(problems, DiversityRule(ks=(2,)))
    print(*[name for name in ("torch", "transformers", "polars", "sklearn", "mlflow") if name in sys.modules])
"""


def test_processes_give_what_one_process_gives_and_nothing_heavy_is_loaded(tmp_path):
    script = tmp_path / "spawned.py"
    script.write_text(PROGRAM)
    result = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
    assert code_diversities([], DiversityRule()) == []
