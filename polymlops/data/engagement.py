"""Likes on the scale on which they are compared: the logarithm of 1 + likes, with its sign for votes below 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from polymlops.metrics.arrays import Floats


def log_likes(likes: ArrayLike) -> Floats:
    """sign(likes) log(1 + |likes|), elementwise."""
    counts = np.asarray(likes, dtype=np.float64)
    return np.sign(counts) * np.log1p(np.abs(counts))


def log_likes_of(column: str) -> pl.Expr:
    """The same of a column."""
    return pl.col(column).sign() * pl.col(column).abs().log1p()
