"""The algebra of Delta W = s B A without ever forming it: thin QR of both factors and an SVD of the small core.

    B = Q_B R_B,  A^T = Q_A R_A,  s R_B R_A^T = U S V^T   =>   Delta W = (Q_B U) S (Q_A V)^T

Cost O((out + in) r^2) a module. Ranks are numerical: singular values below max(out, in) eps sigma_1 are 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats

ENERGY = 0.99


@dataclass(frozen=True, slots=True)
class LowRank:
    """A matrix (out, in) as `left` (out, r) times `right` (r, in), the scaling included."""

    left: Floats
    right: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """(out, in)."""
        return self.left.shape[0], self.right.shape[1]


@dataclass(frozen=True, slots=True)
class Decomposition:
    """The singular value decomposition of a `LowRank`, cut at its numerical rank R.

    `values` holds min(r, out, in) singular values, descending, zeros included; `left` is (out, R), `right` (in, R).
    """

    values: Floats
    left: Floats
    right: Floats

    @property
    def rank(self) -> int:
        """Numerical rank R."""
        return self.left.shape[1]


def decompose(product: LowRank) -> Decomposition:
    """Exact singular values and vectors of the product; its factors must be finite."""
    q_left, r_left = np.linalg.qr(product.left)
    q_right, r_right = np.linalg.qr(product.right.T)
    u, values, vt = np.linalg.svd(r_left @ r_right.T, full_matrices=False)
    rank = numerical_rank(values, product.shape)
    values[rank:] = 0.0
    return Decomposition(values, q_left @ u[:, :rank], q_right @ vt[:rank].T)


def numerical_rank(values: Floats, shape: tuple[int, int]) -> int:
    """Singular values (descending) that rounding does not explain."""
    largest = float(values[0]) if len(values) else 0.0
    return int((values > max(shape) * np.finfo(np.float64).eps * largest).sum())


def difference(a: LowRank, b: LowRank) -> LowRank:
    """a - b as factors of rank r_a + r_b, so that a small movement does not cancel away."""
    return LowRank(np.hstack([a.left, -b.left]), np.vstack([a.right, b.right]))


def inner_product(a: LowRank, b: LowRank) -> float:
    """Frobenius inner product tr(a^T b) = sum (L_a^T L_b) * (R_a R_b^T)."""
    return float(np.sum((a.left.T @ b.left) * (a.right @ b.right.T)))


def cosine(a: LowRank, b: LowRank) -> float:
    """Cosine between two matrices as vectors, in [-1, 1]; NaN where either is 0."""
    norms = math.sqrt(max(inner_product(a, a), 0.0) * max(inner_product(b, b), 0.0))
    return max(-1.0, min(1.0, inner_product(a, b) / norms)) if norms > 0 else math.nan


def effective_rank(values: Floats) -> float:
    """exp of the entropy of the normalised singular values, in [1, r]; NaN where all are 0.

    Source: Roy & Vetterli 2007, "The effective rank: a measure of effective dimensionality".
    """
    positive = values[values > 0]
    if len(positive) == 0:
        return math.nan
    shares = positive / positive.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def stable_rank(values: Floats) -> float:
    """||.||_F^2 / sigma_1^2, in [1, r]; NaN where all are 0."""
    largest = float(values.max(initial=0.0))
    return float(((values / largest) ** 2).sum()) if largest > 0 else math.nan


def energy_rank(values: Floats, energy: float = ENERGY) -> int:
    """Smallest rank whose truncation keeps this share of the squared norm; 0 for the zero matrix.

    Raises: MetricError for an energy outside (0, 1].
    """
    if not 0 < energy <= 1:
        raise MetricError(f"energy must lie in (0, 1], not {energy}")
    squares = np.sort(values)[::-1] ** 2
    total = squares.sum()
    if total == 0:
        return 0
    # Rounding of the sum must not ask for one more rank.
    return int(np.searchsorted(squares.cumsum(), energy * total * (1 - 1e-12)) + 1)


def subspace_overlap(a_DR: Floats, b_DR: Floats) -> float:
    """||A^T B||_F^2 / min(R_a, R_b) of two orthonormal bases, in [0, 1]; NaN where either is empty.

    1 where the smaller space lies in the larger; random spaces of dimension D have max(R_a, R_b) / D.
    """
    smaller = min(a_DR.shape[1], b_DR.shape[1])
    return float(np.sum((a_DR.T @ b_DR) ** 2) / smaller) if smaller else math.nan
