"""What the metrics accept: the checks that turn an argument into an array, or refuse it by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polymlops.errors import MetricError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SmallInts = NDArray[np.int32]
Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
Rows = ArrayLike | Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Block:
    """The prompts that have the same number of candidates: their positions, and their values as one array."""

    prompts_B: Ints
    values_BK: NDArray[Any]


def finite(values: ArrayLike, name: str) -> Floats:
    """Return `values` as float64. Raises MetricError where one is NaN or infinite."""
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise MetricError(
            f"{name} holds NaN or an infinite value at {first(~np.isfinite(array))}: score or drop it first"
        )
    return array


def first(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    """Position of the first true entry, for messages."""
    return tuple(int(i) for i in np.argwhere(mask)[0])


def vector(values: ArrayLike, name: str) -> Floats:
    """Return `values` as a finite one-dimensional float64 array. Raises MetricError for any other shape."""
    array = finite(values, name)
    if array.ndim != 1:
        raise MetricError(f"{name} has shape {array.shape}: one value a prompt is needed")
    return array


def counts(values: ArrayLike, name: str) -> Ints:
    """Return `values` as int64. Raises MetricError where one is NaN, negative or not whole."""
    array = finite(values, name)
    if (array < 0).any() or (array > 2**53).any() or (array != np.floor(array)).any():
        raise MetricError(f"{name} must hold whole numbers from 0 up, not {array.min()} .. {array.max()}")
    return array.astype(np.int64)


def candidate_counts(k: int | Sequence[int] | Ints) -> Ints:
    """Return k as a one-dimensional int64 array. Raises MetricError where one is below 1 or not whole."""
    ks = np.atleast_1d(counts(k, "k"))
    if ks.ndim != 1 or ks.size == 0 or (ks < 1).any():
        raise MetricError(f"k must be 1 or more, not {k!r}")
    return ks


def curve_arrays(curve: Mapping[int, float]) -> tuple[Ints, Floats]:
    """Return a curve's k and values, ascending in k. Raises MetricError for an empty curve, NaN, or k below 1."""
    if not curve:
        raise MetricError("the curve is empty: it needs at least one k")
    ks = candidate_counts(sorted(curve))
    missing = [int(k) for k in ks if np.isnan(curve[int(k)])]
    if missing:
        raise MetricError(f"the curve is NaN at k = {missing[0]}: leave out every k above the number of samples")
    return ks, finite([curve[int(k)] for k in ks], "the curve")


def blocks(values_PK: Rows, name: str) -> Iterator[Block]:
    """Yield the rows of `values_PK` in blocks of equal length, so that prompts may differ in their candidates.

    Raises: MetricError where it is not two-dimensional.
    """
    if not isinstance(values_PK, np.ndarray):
        values_PK = [np.asarray(row) for row in values_PK]  # type: ignore[union-attr]  # scalars fail in the ndim check
        if any(row.ndim != 1 for row in values_PK):
            raise MetricError(f"{name} must be (prompts, candidates)")
        lengths_P = np.array([len(row) for row in values_PK], dtype=np.int64)
        for length in np.unique(lengths_P):
            prompts_B = np.flatnonzero(lengths_P == length)
            yield Block(prompts_B, np.stack([values_PK[p] for p in prompts_B]))
        return
    if values_PK.ndim != 2:
        raise MetricError(f"{name} has shape {values_PK.shape}: it must be (prompts, candidates)")
    yield Block(np.arange(len(values_PK)), values_PK)


def paired_blocks(first_PK: Rows, second_PK: Rows, first: str, second: str) -> Iterator[tuple[Block, Block]]:
    """Yield the blocks of two arrays that say something about the same candidates.

    Raises: MetricError where their shapes differ.
    """
    ours, theirs = list(blocks(first_PK, first)), list(blocks(second_PK, second))
    same = len(ours) == len(theirs) and all(
        a.values_BK.shape == b.values_BK.shape and (a.prompts_B == b.prompts_B).all()
        for a, b in zip(ours, theirs, strict=True)
    )
    if not same:
        raise MetricError(f"{first} and {second} must have the same shape: one value each for every candidate")
    yield from zip(ours, theirs, strict=True)
