"""Scores of any domain, as its scoring stage wrote them, as values by prompt; and whether arms may be compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from polymlops.config.sampling import SamplingConfig
from polymlops.errors import ArtifactError, InputError
from polymlops.evaluation.cross_domain_records import DomainScores
from polymlops.metrics.arrays import Floats
from polymlops.metrics.pass_at_k import pass_at_k

IDENTITY = frozenset({"arm", "seed", "domain", "prompt_id"})
# What makes two sample sets of one domain comparable; the rest of the sampling is how the work was split.
DECODING = ("temperature", "top_p", "top_k", "n", "max_new_tokens")
ACROSS = ("temperature", "top_p", "top_k")
NAMED = 3


def read_domain_scores(domain: str, sampling: SamplingConfig, folder: Path, ks: Iterable[int]) -> DomainScores:
    """Read scores.parquet and diversity.parquet of one arm and seed.

    Metrics: pass_at_k and quality over the scored candidates of a prompt, the share that is well formed, and every
    number of diversity.parquet. A prompt where too few candidates are scored is NaN.

    Raises: ArtifactError where a file is missing, holds more than one arm, or the two disagree about their prompts.
    """
    scores, diversity = (_read(folder / f"{name}.parquet").sort("prompt_id") for name in ("scores", "diversity"))
    labels = scores.select("arm", "seed").unique().rows()
    if len(labels) != 1:
        raise ArtifactError(f"{folder}: scores of {len(labels)} arms and seeds: score each by itself")
    grouped = scores.group_by("prompt_id", maintain_order=True).agg(
        n=pl.len(),
        scored=pl.col("passed").count(),
        passed=pl.col("passed").sum(),
        quality=pl.col("quality").mean(),
        well_formed=pl.col("well_formed").mean(),
    )
    if grouped["prompt_id"].to_list() != diversity["prompt_id"].to_list():
        raise ArtifactError(f"{folder}: scores and diversity are of different prompts: score it again")
    scored_P, passed_P = grouped["scored"].to_numpy(), grouped["passed"].to_numpy()
    values = {f"pass_at_{k}": pass_at_k(scored_P, passed_P, k) for k in ks}
    values |= {name: _numbers(grouped[name]) for name in ("quality", "well_formed")}
    numeric = [name for name, kind in diversity.schema.items() if kind.is_numeric() and name not in IDENTITY]
    values |= {name: _numbers(diversity[name]) for name in numeric}
    (arm, seed), n = labels[0], int(grouped["n"].max())  # type: ignore[arg-type]  # a length is a number
    return DomainScores(domain, arm, seed, n, sampling, tuple(grouped["prompt_id"]), values)


def check_comparable(scores: Sequence[DomainScores]) -> None:
    """Whether all arms of each domain were drawn alike, for the same prompts, once for each seed.

    Raises: InputError that names two arms and what differs.
    """
    by_domain: defaultdict[str, list[DomainScores]] = defaultdict(list)
    seen: set[str] = set()
    for item in scores:
        if item.label in seen:
            raise InputError(f"{item.label} comes twice: give each arm and seed of a domain once")
        seen.add(item.label)
        by_domain[item.domain].append(item)
    for items in by_domain.values():
        for other in items[1:]:
            _check_pair(items[0], other)


def decoding_notes(scores: Sequence[DomainScores]) -> tuple[str, ...]:
    """What a reader must know where domains were decoded in different ways: absolute values don't compare then."""
    notes = []
    first: dict[str, DomainScores] = {}
    for item in scores:
        first.setdefault(item.domain, item)
    reference, *others = first.values()
    for other in others:
        differing = [name for name in ACROSS if _setting(other, name) != _setting(reference, name)]
        said = ", ".join(f"{name} {_setting(reference, name)} and {_setting(other, name)}" for name in differing)
        if differing:
            notes.append(f"{reference.domain} and {other.domain} were decoded with {said}: compare gains, not values")
    return tuple(notes)


def _check_pair(reference: DomainScores, other: DomainScores) -> None:
    pair = f"{reference.label} and {other.label} cannot be compared"
    for name in DECODING:
        ours, theirs = _setting(reference, name), _setting(other, name)
        if ours != theirs:
            raise InputError(f"{pair}: {name} is {ours} and {theirs}: sample both alike")
    if reference.n != other.n:
        raise InputError(f"{pair}: {reference.n} and {other.n} candidates a prompt: sample both alike")
    odd = sorted(set(reference.prompts) ^ set(other.prompts))
    if odd:
        raise InputError(f"{pair}: only one of them answers {', '.join(odd[:NAMED])} ({len(odd)} in all)")
    if reference.prompts != other.prompts:
        raise InputError(f"{pair}: their prompts are in different orders: sort both by id")
    lacking = sorted(set(reference.values) ^ set(other.values))
    if lacking:
        raise InputError(f"{pair}: only one of them has {', '.join(lacking[:NAMED])}: score both again")


def _setting(item: DomainScores, name: str) -> object:
    settings: Mapping[str, object] = item.sampling.model_dump()
    return settings[name]


def _read(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise ArtifactError(f"{path}: no such file: score the sample set again")
    return pl.read_parquet(path)


def _numbers(column: pl.Series) -> Floats:
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy()
