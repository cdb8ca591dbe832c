"""How different the programs for one problem are: tree edit distance within the problem, and distinct algorithms at k.

Programs with equal trees are collapsed before any distance is computed, and weighted exactly. What does not parse is
counted and has no distance. `canonical` looks at the algorithm, `kept` at names and constants too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from polymlops.errors import MetricError
from polymlops.evaluation.program_trees import program_tree
from polymlops.evaluation.tree_distance import distance_matrix
from polymlops.metrics.arrays import Floats, Ints
from polymlops.metrics.semantic import distinct_at_k

Reading = Literal["canonical", "kept"]
# On the world's families other operand order and other spellings of one expression lie within it, a loop and a
# comprehension beyond (0.4 and more). A choice, not an estimate: report it beside the number.
SAME_ALGORITHM = 0.3


@dataclass(frozen=True, slots=True)
class ProblemSamples:
    """The programs sampled for one problem, prompt included; `passed` in the same order, or None where not executed."""

    task_id: str
    sources: tuple[str, ...]
    passed: tuple[bool, ...] | None = None


@dataclass(frozen=True, slots=True)
class DiversityRule:
    """How diversity is measured.

    ks         numbers of candidates for distinct algorithms
    reading    what of a program counts
    threshold  two programs of one algorithm are at most this far apart, in [0, 1]
    """

    ks: tuple[int, ...] = (1, 5, 10)
    reading: Reading = "canonical"
    threshold: float = SAME_ALGORITHM


@dataclass(frozen=True, slots=True)
class CodeDiversity:
    """Diversity of one problem's samples; what needs two programs, or a verdict, and has none is NaN.

    samples, unparsable, passing, unique   counts; unique trees among those that parse
    distance, distance_passing             mean normalised distance over all pairs of samples that parse (and pass)
    algorithms, algorithms_passing         clusters among those that parse (and pass)
    distinct, distinct_passing             expected clusters among k of all samples; unparsable ones count for none
    labels                                 cluster of each sample, in order; none where it does not parse
    """

    task_id: str
    samples: int
    unparsable: int
    passing: int
    unique: int
    distance: float
    distance_passing: float
    algorithms: int
    algorithms_passing: float
    distinct: Mapping[int, float]
    distinct_passing: Mapping[int, float]
    labels: tuple[int | None, ...]


def code_diversity(problem: ProblemSamples, rule: DiversityRule) -> CodeDiversity:
    """Measure one problem.

    Raises: MetricError where `passed` has another length, or there are too many different programs.
    """
    if problem.passed is not None and len(problem.passed) != len(problem.sources):
        raise MetricError(f"{problem.task_id}: {len(problem.passed)} verdicts for {len(problem.sources)} programs")
    trees = [program_tree(source, rule.reading == "kept") for source in problem.sources]
    # Sorted, so that clusters with equal distances do not depend on the order of the samples.
    unique = sorted({tree for tree in trees if tree}, key=lambda tree: (tree.labels, tree.children))
    index = {tree: number for number, tree in enumerate(unique)}
    member_N = np.array([index[tree] if tree else -1 for tree in trees], dtype=np.int64)
    distances_UU = distance_matrix(unique)
    cluster_U = clusters(distances_UU, rule.threshold)
    parsed_N = member_N >= 0
    passed_N = parsed_N & (np.asarray(problem.passed, dtype=np.bool_) if problem.passed else False)
    label_N = np.where(parsed_N, cluster_U[member_N] if unique else -1, -1)
    judged = problem.passed is not None
    return CodeDiversity(
        problem.task_id,
        samples=len(trees),
        unparsable=int((~parsed_N).sum()),
        passing=int(passed_N.sum()),
        unique=len(unique),
        distance=mean_distance(distances_UU, member_N[parsed_N]),
        distance_passing=mean_distance(distances_UU, member_N[passed_N]) if judged else math.nan,
        algorithms=len(set(label_N[parsed_N])),
        algorithms_passing=float(len(set(label_N[passed_N]))) if judged else math.nan,
        distinct=_distinct(label_N, parsed_N, rule.ks),
        distinct_passing=_distinct(label_N, passed_N if judged else None, rule.ks),
        labels=tuple(None if label < 0 else label for label in label_N.tolist()),
    )


def code_diversities(problems: Sequence[ProblemSamples], rule: DiversityRule, workers: int = 1) -> list[CodeDiversity]:
    """Measure many problems, in order; above one worker in fresh processes, which never hold the caller's memory.

    Raises: MetricError as in `code_diversity`.
    """
    if workers == 1:
        return [code_diversity(problem, rule) for problem in problems]
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(code_diversity, problems, [rule] * len(problems)))


def mean_distance(distances_UU: Floats, member_N: Ints) -> float:
    """Mean over all pairs of N samples, of which several may be one tree; NaN below two samples, in [0, 1]."""
    n = len(member_N)
    if n < 2:
        return math.nan
    count_U = np.bincount(member_N, minlength=len(distances_UU)).astype(np.float64)
    return float(count_U @ distances_UU @ count_U) / (n * (n - 1))


def clusters(distances_UU: Floats, threshold: float) -> Ints:
    """Cluster of every tree, (U,): complete linkage, so that any two of a cluster are at most `threshold` apart.

    Raises: MetricError for a threshold outside [0, 1].
    """
    if not 0 <= threshold <= 1:
        raise MetricError(f"threshold {threshold} is outside [0, 1], where the distances are")
    if len(distances_UU) < 2:
        return np.zeros(len(distances_UU), dtype=np.int64)
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    merges = linkage(squareform(distances_UU, checks=False), method="complete")
    return fcluster(merges, threshold, criterion="distance").astype(np.int64)


def _distinct(label_N: Ints, counted_N: NDArray[np.bool_] | None, ks: tuple[int, ...]) -> dict[int, float]:
    if counted_N is None or len(label_N) == 0:
        return dict.fromkeys(ks, math.nan)
    values_K = distinct_at_k(label_N[None], ks, counted_N[None])[0]
    return {k: float(value) for k, value in zip(ks, values_K, strict=True)}
