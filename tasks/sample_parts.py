"""Parts of a sample set among a stage's inputs, by roles that keep their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from polymlops.refs import Reference, SampleSetRef

PART = "part/"


def named_parts(parts: Sequence[SampleSetRef]) -> dict[str, Reference]:
    """By role."""
    return {f"{PART}{index:04d}": ref for index, ref in enumerate(parts)}


def parts_of(inputs: Mapping[str, Path]) -> list[Path]:
    """Their folders, in order."""
    return [inputs[role] for role in sorted(inputs) if role.startswith(PART)]
