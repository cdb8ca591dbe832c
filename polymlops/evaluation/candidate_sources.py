"""Candidates from several places, files or the scores of tracked runs, brought together for a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from polymlops.errors import InputError
from polymlops.evaluation.candidates import Candidates, read_candidates

SCORES, DIVERSITY = "scores.parquet", "diversity.parquet"
ARM_KEY = ["arm", "seed", "prompt_id"]


@dataclass(frozen=True, slots=True)
class Source:
    """Candidates of one place; `diversity` (arm, seed, prompt_id, metrics) where their texts are not kept."""

    label: str
    candidates: Candidates
    diversity: pl.DataFrame | None = None


def read_scored_folders(label: str, folders: Sequence[Path]) -> Source:
    """Read what scoring left in folders: scores.parquet, and diversity.parquet where there is one.

    Raises: InputError where a folder has no scores, or they cannot be used.
    """
    for folder in folders:
        if not (folder / SCORES).is_file():
            raise InputError(f"{label}: holds no {SCORES}; give a run that scored candidates")
    candidates = read_candidates([folder / SCORES for folder in folders], needs_text=False)
    found = [_diversity(folder) for folder in folders if (folder / DIVERSITY).is_file()]
    return Source(label, candidates, pl.concat(found, how="diagonal_relaxed") if found else None)


def _diversity(folder: Path) -> pl.DataFrame:
    """Diversity by arm, seed and prompt; a stage that scores one arm leaves its name and seed to the scores."""
    rows = pl.read_parquet(folder / DIVERSITY)
    if "arm" in rows.columns and "seed" in rows.columns:
        return rows.cast({"seed": pl.Int64})
    arm, seed = pl.read_parquet(folder / SCORES, columns=["arm", "seed"]).row(0)
    return rows.with_columns(pl.lit(arm).alias("arm"), pl.lit(seed, pl.Int64).alias("seed"))


def only_arm(source: Source, arm: str) -> Source:
    """The candidates of one arm. Raises InputError where the source has none of it."""
    frame = source.candidates.frame.filter(pl.col("arm") == arm)
    if frame.is_empty():
        raise InputError(f"{source.label}: no candidates of arm {arm}")
    recorded = None if source.diversity is None else source.diversity.filter(pl.col("arm") == arm)
    return Source(source.label, Candidates(frame, source.candidates.ignored), recorded)


def merge_sources(sources: Sequence[Source]) -> Source:
    """All sources as one; an arm that two of them have, with the same seed and prompts, becomes `<label>:<arm>`.

    Raises: InputError where two sources have the same label and the same arm.
    """
    shared = _shared_arms(sources)
    labels = [source.label for source in sources]
    if shared and len(set(labels)) < len(labels):
        raise InputError(f"{sorted(shared)[0]}: two inputs called {labels[0]} have this arm; give each input once")
    frames, diversity = [], []
    for index, source in enumerate(sources):
        names = {arm: f"{source.label}:{arm}" for arm in source.candidates.arms if arm in shared}
        # The order of arms is that of the sources, whatever files each of them had.
        frame = source.candidates.frame.with_columns(pl.lit(index, pl.Int64).alias("file"))
        frames.append(_renamed(frame, names))
        if source.diversity is not None:
            diversity.append(_renamed(source.diversity, names))
    frame = pl.concat(frames, how="diagonal").sort("arm", "seed", "prompt_id", maintain_order=True)
    ignored = sorted({name for source in sources for name in source.candidates.ignored})
    recorded = pl.concat(diversity, how="diagonal_relaxed") if diversity else None
    return Source(" ".join(labels), Candidates(frame, tuple(ignored)), recorded)


def _shared_arms(sources: Sequence[Source]) -> set[str]:
    """Arms that occur with the same seed and prompt in more than one source."""
    keys = pl.concat([source.candidates.frame.select(ARM_KEY).unique() for source in sources])
    return set(keys.filter(pl.struct(ARM_KEY).is_duplicated())["arm"])


def _renamed(frame: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
    return frame.with_columns(pl.col("arm").replace(dict(names))) if names else frame
