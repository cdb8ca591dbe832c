"""Diversity of executed programs as tables: one row a problem, and the algorithm of every candidate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import polars as pl

from polymlops.evaluation.code_diversity import (
    CodeDiversity,
    DiversityRule,
    ProblemSamples,
    clusters,
    code_diversities,
)
from polymlops.evaluation.program_trees import program_tree
from polymlops.evaluation.tree_distance import distance_matrix

# Below so many pairs of different programs, starting processes takes longer than the distances do.
FEW_PAIRS = 20_000


def diversity_table(runs: pl.DataFrame, threshold: float, workers: int = 1) -> pl.DataFrame:
    """One row a problem from the rows of `run_answers`; null where undefined.

    ast_diversity        mean normalised tree edit distance over all pairs that parse, names and constants left out
    ast_diversity_kept   the same with names and constants; both also `_passing`, over passing programs only
    algorithms           clusters among those that parse; also `_passing`, null where a program could not be judged:
                         fewer programs have fewer algorithms, which a mean distance does not suffer from
    unique_share         different texts of programs among the candidates
    """
    problems = problem_samples(runs)
    canonical, kept = (
        code_diversities(problems, DiversityRule(reading=reading, threshold=threshold), _workers(problems, workers))
        for reading in ("canonical", "kept")
    )
    unjudged = set(runs.filter(pl.col("passed").is_null())["prompt_id"])
    rows = [_row(*row) for row in zip(problems, canonical, kept, strict=True)]
    for row in rows:
        row["algorithms_passing"] = math.nan if row["prompt_id"] in unjudged else row["algorithms_passing"]
    return pl.DataFrame(rows, infer_schema_length=None).fill_nan(None)


def problem_samples(runs: pl.DataFrame) -> list[ProblemSamples]:
    """The programs of each problem, in the order of the rows; what the harness could not judge has not passed."""
    grouped = runs.group_by("prompt_id", maintain_order=True).agg("program", pl.col("passed").fill_null(False))
    return [ProblemSamples(task, tuple(programs), tuple(passed)) for task, programs, passed in grouped.iter_rows()]


def algorithm_labels(sources: Sequence[str], threshold: float) -> list[str | None]:
    """The algorithm of each program of one problem, none where it does not parse; clusters as in `code_diversity`."""
    trees = [program_tree(source) for source in sources]
    unique = sorted({tree for tree in trees if tree}, key=lambda tree: (tree.labels, tree.children))
    label = dict(zip(unique, clusters(distance_matrix(unique), threshold).tolist(), strict=True))
    return [f"algorithm {label[tree]}" if tree else None for tree in trees]


def _workers(problems: Sequence[ProblemSamples], workers: int) -> int:
    pairs = sum(len(set(problem.sources)) ** 2 / 2 for problem in problems)
    return workers if pairs > FEW_PAIRS else 1


def _row(problem: ProblemSamples, canonical: CodeDiversity, kept: CodeDiversity) -> dict[str, str | float]:
    return {
        "prompt_id": problem.task_id,
        "ast_diversity": canonical.distance,
        "ast_diversity_passing": canonical.distance_passing,
        "ast_diversity_kept": kept.distance,
        "ast_diversity_kept_passing": kept.distance_passing,
        "algorithms": float(canonical.algorithms),
        "algorithms_passing": canonical.algorithms_passing,
        "unique_share": float(np.mean(len(set(problem.sources)) / len(problem.sources))),
    }
