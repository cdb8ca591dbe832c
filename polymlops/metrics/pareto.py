"""Pareto fronts and the volume that they dominate, with the direction of every axis stated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats, finite


def pareto_front(points: ArrayLike, maximise: Sequence[bool] = (True, True)) -> NDArray[np.bool_]:
    """Mask of the points (N, axes) that no other point dominates, True on the front.

    A point dominates another where it is as good on every axis and better on one; equal points do not dominate each
    other. `maximise` says for each axis whether more is better.

    Raises: MetricError for NaN, or where `maximise` has another length than the points have axes.
    """
    better_NA = _oriented(points, maximise)
    front_N = np.ones(len(better_NA), dtype=bool)
    # In descending order a point can only be dominated by one before it.
    order = np.lexsort(tuple(-better_NA.T[::-1]))
    kept: list[Floats] = []
    for index in order:
        point = better_NA[index]
        if kept:
            above = np.asarray(kept)
            front_N[index] = not ((above >= point).all(axis=1) & (above > point).any(axis=1)).any()
        if front_N[index]:
            kept.append(point)
    return front_N


def hypervolume(points: ArrayLike, reference: ArrayLike, maximise: Sequence[bool] = (True, True)) -> float:
    """Volume between the front of `points` (N, axes) and `reference` (axes,), in the product of the axes' units.

    Points that are not better than the reference on every axis add nothing.

    Raises: MetricError as in `pareto_front`.
    Source: Zitzler & Thiele 1998; computed by slicing along the axes.
    """
    origin = finite(reference, "reference")
    better_NA = _oriented(points, maximise)
    if origin.shape != (better_NA.shape[1],):
        raise MetricError(
            f"reference has shape {origin.shape}: one value for each of {better_NA.shape[1]} axes is needed"
        )
    heights_NA = better_NA - np.where(maximise, origin, -origin)
    return _volume(heights_NA[(heights_NA > 0).all(axis=1)])


def _oriented(points: ArrayLike, maximise: Sequence[bool]) -> Floats:
    array_NA = finite(points, "points")
    if array_NA.size == 0:
        return np.empty((0, len(maximise)))
    if array_NA.ndim != 2 or array_NA.shape[1] != len(maximise):
        raise MetricError(f"points have shape {array_NA.shape}, maximise names {len(maximise)} axes")
    return np.where(np.asarray(maximise, dtype=bool), array_NA, -array_NA)


def _volume(heights_NA: Floats) -> float:
    if len(heights_NA) == 0:
        return 0.0
    if heights_NA.shape[1] == 1:
        return float(heights_NA.max())
    ordered_NA = heights_NA[heights_NA[:, -1].argsort()]
    depth_N = np.diff(ordered_NA[:, -1], prepend=0.0)
    return sum(float(depth) * _volume(ordered_NA[i:, :-1]) for i, depth in enumerate(depth_N) if depth > 0)
