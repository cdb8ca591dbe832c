"""What the analysis stages have in common: their folders, their pairs of arms, their tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from polymlops.errors import InputError
from polymlops.report.comparisons import comparison_pairs


@dataclass(frozen=True, slots=True)
class AnalysisFolders:
    """Folders: base model, dataset, and by "arm/seed" the adapters, with their samples and scores where needed."""

    base: Path
    dataset: Path
    adapters: Mapping[str, Path]
    samples: Mapping[str, Path] = field(default_factory=dict)
    scores: Mapping[str, Path] = field(default_factory=dict)


def split_label(label: str) -> tuple[str, int]:
    """Arm and seed of "arm/seed". Raises InputError for anything else."""
    arm, _, seed = label.rpartition("/")
    if not arm or not seed.isdigit():
        raise InputError(f"{label!r}: adapters are named arm/seed, as baseline/42")
    return arm, int(seed)


def by_arm(labels: Sequence[str]) -> dict[str, list[int]]:
    """Seeds of each arm, ascending, in the order in which arms appear. Raises InputError without a label."""
    if not labels:
        raise InputError("no adapter to analyse: name at least one as arm/seed")
    found: dict[str, list[int]] = {}
    for arm, seed in map(split_label, labels):
        found.setdefault(arm, []).append(seed)
    return {arm: sorted(seeds) for arm, seeds in found.items()}


def paired_labels(labels: Sequence[str]) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """(reference arm, arm) -> their labels, seed by seed; pairs without a common seed are left out."""
    arms = by_arm(labels)
    pairs = {
        (a, b): [(f"{a}/{seed}", f"{b}/{seed}") for seed in arms[a] if seed in arms[b]]
        for b, a in comparison_pairs(list(arms))
    }
    return {pair: found for pair, found in pairs.items() if found}


def write_table(rows: Sequence[Mapping[str, Any]], folder: Path, name: str) -> None:
    """Write rows as `<name>.parquet` and `<name>.csv`, NaN as empty; without rows nothing."""
    if rows:
        frame = pl.DataFrame([dict(row) for row in rows], infer_schema_length=None).fill_nan(None)
        frame.write_parquet(folder / f"{name}.parquet")
        frame.write_csv(folder / f"{name}.csv")
