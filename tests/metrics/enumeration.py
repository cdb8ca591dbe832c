"""Definitions by brute force, and the hypothesis settings that all metric tests share."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# The first example of a compiled function compiles it: a deadline would time the compiler.
checked = settings(deadline=None, max_examples=100, derandomize=True)


def over_subsets(items: Sequence, k: int, value: Callable[[tuple], float]) -> float:
    """Mean of `value` over all k-subsets of the items; NaN where there is none."""
    values = [value(subset) for subset in itertools.combinations(items, k)]
    return float(np.mean(values)) if values else float("nan")


def picked_quality(subset: tuple[tuple[float, float], ...]) -> float:
    """Mean quality of the (quality, selector) pairs whose selector is the largest: ties are broken at random."""
    best = max(selector for _, selector in subset)
    return float(np.mean([quality for quality, selector in subset if selector == best]))


def shared_data(name: str) -> Path:
    """A file of reference inputs, or a skip that says where it was looked for."""
    default = Path(__file__).parents[3] / "shared" / "data"
    path = Path(os.environ.get("POLYMLOPS_SHARED_DATA", default)) / name
    if not path.exists():
        pytest.skip(f"{name} is not in {path.parent}; set POLYMLOPS_SHARED_DATA")
    return path
