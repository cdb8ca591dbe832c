"""Diversity of executed programs as tables: one row a problem, and the algorithm of every candidate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import current_process

import numpy as np
import polars as pl

from polymlops.evaluation.code_diversity import (
    CodeDiversity,
    DiversityRule,
    ProblemSamples,
    code_diversities,
)

# Below so many pairs of different programs, starting processes takes longer than the distances do.
FEW_PAIRS = 20_000


@dataclass(frozen=True, slots=True)
class ProgramDiversity:
    """`table`: one row a problem; `algorithms`: the cluster of each candidate (prompt_id, sample_id, intent)."""

    table: pl.DataFrame
    algorithms: pl.DataFrame


def program_diversity(runs: pl.DataFrame, threshold: float, workers: int = 1) -> ProgramDiversity:
    """Diversity within every problem from the rows of `run_answers`; null where undefined, or not Python.

    Columns of the table:
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
    return ProgramDiversity(pl.DataFrame(rows, infer_schema_length=None).fill_nan(None), _algorithms(runs, canonical))


def problem_samples(runs: pl.DataFrame) -> list[ProblemSamples]:
    """The programs of each problem, in the order of the rows; what the harness could not judge has not passed."""
    grouped = runs.group_by("prompt_id", maintain_order=True).agg("program", pl.col("passed").fill_null(False))
    return [ProblemSamples(task, tuple(programs), tuple(passed)) for task, programs, passed in grouped.iter_rows()]


def _algorithms(runs: pl.DataFrame, found: Sequence[CodeDiversity]) -> pl.DataFrame:
    names = [[None if label is None else f"algorithm {label}" for label in problem.labels] for problem in found]
    grouped = runs.group_by("prompt_id", maintain_order=True).agg("sample_id")
    return grouped.with_columns(pl.Series("intent", names, dtype=pl.List(pl.String))).explode("sample_id", "intent")


def _workers(problems: Sequence[ProblemSamples], workers: int) -> int:
    if current_process().daemon:  # a Dask worker is one, and may have no children; its neighbours have the other shards
        return 1
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
