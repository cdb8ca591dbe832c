"""Intruder dimensions: leading directions of the adapted weights that the base weights do not have.

The leading left singular vectors of W + Delta W come from Lanczos steps that use W and the factors only. Each is
compared with all left singular vectors of W, which need one symmetric eigendecomposition of the smaller Gram matrix of
W: on one core 4 to 6 s for a weight of smaller side 2048, 36 s for 4096 x 12288, where one dense SVD takes 107 s. It is
the one part of the analysis that is dense, and it is optional.

Source: Shuttleworth et al. 2024, arXiv:2410.21228, algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polymlops.analysis.lora_factors import LowRank
from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats

# Below this side the decomposition is done at once; Lanczos needs a matrix larger than the vectors it is asked for.
SMALL_SIDE = 256


@dataclass(frozen=True, slots=True)
class IntruderSettings:
    """How many leading directions are examined, and below which |cos| to every base direction one is an intruder."""

    examined: int = 10
    epsilon: float = 0.5


@dataclass(frozen=True, slots=True)
class Intruders:
    """`similarity` is the largest |cos| of each examined direction to a base direction, leading direction first."""

    similarity: tuple[float, ...]
    epsilon: float

    @property
    def count(self) -> int:
        """Directions below epsilon."""
        return sum(value < self.epsilon for value in self.similarity)


def find_intruders(weight: Floats, change: LowRank, settings: IntruderSettings | None = None) -> Intruders:
    """Compare the leading left singular vectors of `weight` + `change` with those of `weight` (out, in).

    Raises: MetricError for an epsilon outside (0, 1], or no direction to examine.
    """
    settings = settings or IntruderSettings()
    if settings.examined < 1 or not 0 < settings.epsilon <= 1:
        raise MetricError(f"examined must be 1 or more and epsilon lie in (0, 1], not {settings}")
    examined = min(settings.examined, *weight.shape)
    leading = leading_left_vectors(weight, change, examined)
    cosines = np.abs(left_vectors(weight).T @ leading)
    return Intruders(tuple(float(value) for value in cosines.max(axis=0)), settings.epsilon)


def leading_left_vectors(weight: Floats, change: LowRank, count: int) -> Floats:
    """The first left singular vectors of `weight` + `change`, (out, count), largest singular value first."""
    if min(weight.shape) <= max(SMALL_SIDE, 2 * count):
        return np.linalg.svd(weight + change.left @ change.right, full_matrices=False)[0][:, :count]
    from scipy.sparse.linalg import LinearOperator, svds

    operator = LinearOperator(
        weight.shape,
        matvec=lambda x: weight @ x + change.left @ (change.right @ x),
        rmatvec=lambda y: weight.T @ y + change.right.T @ (change.left.T @ y),
        dtype=np.float64,
    )
    u, values, _ = svds(operator, k=count, v0=np.ones(min(weight.shape)), return_singular_vectors=True)
    return u[:, np.argsort(-values, kind="stable")]


def left_vectors(weight: Floats) -> Floats:
    """All left singular vectors of a matrix (out, in) with a singular value above rounding, in no order."""
    out, inputs = weight.shape
    if out <= inputs:
        return np.linalg.eigh(weight @ weight.T)[1]
    squares, right = np.linalg.eigh(weight.T @ weight)
    # Through the Gram matrix a singular value is exact to sqrt(eps) of the largest only; those below have no vector.
    kept = squares > 1e-12 * max(float(squares.max(initial=0.0)), np.finfo(np.float64).tiny)
    return (weight @ right[:, kept]) / np.sqrt(squares[kept])
