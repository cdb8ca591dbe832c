"""Candidates by arm and seed, as the arrays that metrics take; prompts may differ in their number of candidates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from polymlops.evaluation.candidate_rows import SELECTOR
from polymlops.evaluation.candidates import Candidates
from polymlops.metrics.arrays import Floats, Ints, Rows


@dataclass(frozen=True, slots=True)
class CandidateGroup:
    """The candidates of one arm and seed.

    `quality_PK` are judgements or, where there are only those, passes as 0 and 1; `judged_by` says which: "quality",
    "passed", or "" without either. Rows are arrays of unequal length, or one array.
    `selectors_PK` go by their name without `selector_`. Where a harness could not judge every candidate, `judged_P` of
    them are judged, and only these are in `passes_P`, `quality_PK` and `selectors_PK`; none stands for all of `n_P`.
    `reasons` are those of the others, each once.
    """

    arm: str
    seed: int
    prompts: tuple[str, ...]
    n_P: Ints
    passes_P: Ints | None
    quality_PK: Rows | None
    judged_by: str
    selectors_PK: Mapping[str, Rows]
    texts: pl.Series | None
    judged_P: Ints | None = None
    reasons: tuple[str, ...] = ()

    def texts_by_prompt(self) -> Iterator[list[str]]:
        """Texts of each prompt in order; only one prompt's are strings of Python at a time."""
        start = 0
        for n in self.n_P.tolist() if self.texts is not None else ():
            yield self.texts.slice(start, n).to_list()  # type: ignore[union-attr]  # not None in this loop
            start += n


def candidate_groups(candidates: Candidates) -> list[CandidateGroup]:
    """One group for each arm, in the order in which arms were met, and each seed."""
    groups = []
    for arm in candidates.arms:
        rows = candidates.frame.filter(pl.col("arm") == arm)
        seeds = rows["seed"].unique().sort().to_list()
        groups += [_group(arm, seed, rows.filter(pl.col("seed") == seed)) for seed in seeds]
    return groups


def _group(arm: str, seed: int, rows: pl.DataFrame) -> CandidateGroup:
    sizes = rows.group_by("prompt_id", maintain_order=True).len()
    n_P = sizes["len"].to_numpy().astype(np.int64)
    known = rows.filter(pl.col("verdict").is_null())
    unjudged = rows.group_by("prompt_id", maintain_order=True).agg(pl.col("verdict").count())
    judged_P = n_P - unjudged["verdict"].to_numpy().astype(np.int64)
    passed = _known(known, "passed")
    judged = None if rows["quality"].null_count() == len(rows) else _known(known, "quality")
    quality = passed if judged is None else judged
    selectors = {name: _known(known, name) for name in rows.columns if name.startswith(SELECTOR)}
    return CandidateGroup(
        arm,
        seed,
        tuple(sizes["prompt_id"]),
        n_P,
        None if passed is None else _sums(passed, judged_P),
        None if quality is None else _by_prompt(quality, judged_P),
        "" if quality is None else "passed" if judged is None else "quality",
        {
            name.removeprefix(SELECTOR): _by_prompt(values, judged_P)
            for name, values in selectors.items()
            if values is not None
        },
        None if rows["text"].null_count() else rows["text"],
        None if len(known) == len(rows) else judged_P,
        tuple(rows["reason"].drop_nulls().unique(maintain_order=True)),
    )


def _known(rows: pl.DataFrame, name: str) -> Floats | None:
    """A column as numbers; none where the arm lacks it. The reader lets no column through that is half there."""
    return None if rows[name].null_count() else rows[name].cast(pl.Float64).to_numpy()


def _sums(values: Floats, n_P: Ints) -> Ints:
    """Sum of each prompt's values, 0 where it has none."""
    return np.diff(np.concatenate([[0.0], values.cumsum()])[np.concatenate([[0], n_P.cumsum()])]).astype(np.int64)


def _by_prompt(values: Floats, n_P: Ints) -> Rows:
    if (n_P == n_P[0]).all():
        return values.reshape(len(n_P), -1)
    return np.split(values, np.cumsum(n_P)[:-1])
