"""Kernels over the feature blocks of (post, reply): which terms the reward model has, and how far likeness reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from polymlops.metrics.arrays import Floats

TERMS: tuple[tuple[str, ...], ...] = (
    ("post",),
    ("reply",),
    ("fit",),
    ("post", "reply"),
    ("opening", "reply"),
    ("middle", "reply"),
    ("closing", "reply"),
)
# Squared length of each block's kernel, as a share of the mean squared distance of two pairs: sentences are alike when
# they nearly agree, replies when they share their wording, fits by degree.
LENGTHS = {"post": 0.3, "opening": 0.2, "middle": 0.2, "closing": 0.2, "reply": 0.8, "fit": 3.0}


@dataclass(frozen=True, slots=True)
class Scaling:
    """Mean (D,) and scale (D,) of a block, and the squared length of its kernel."""

    mean_D: Floats
    scale_D: Floats
    length: float


def block_scaling(name: str, block_ND: Floats) -> Scaling:
    """Scaling of a block from training rows; embeddings keep their own scale, a constant block has length 1."""
    mean_D = block_ND.mean(axis=0)
    scale_D = block_ND.std(axis=0) if name == "fit" else np.ones_like(mean_D)
    scale_D = np.where(scale_D > 1e-9, scale_D, 1.0)
    mean_distance = 2 * float((((block_ND - mean_D) / scale_D) ** 2).sum(axis=1).mean())
    return Scaling(mean_D, scale_D, LENGTHS[name] * mean_distance if mean_distance > 1e-9 else 1.0)


def scaled(block_KD: Floats, scaling: Scaling) -> Floats:
    """The block on its training rows' scale."""
    return (block_KD - scaling.mean_D) / scaling.scale_D


def block_kernels(
    left: Mapping[str, Floats], right: Mapping[str, Floats], scaling: Mapping[str, Scaling]
) -> dict[str, Floats]:
    """Squared-exponential kernel of every block between K and N scaled pairs, each (K, N)."""
    from scipy.spatial.distance import cdist

    return {name: np.exp(-cdist(left[name], right[name], "sqeuclidean") / scaling[name].length) for name in left}


def term_kernels(by_block: Mapping[str, Floats]) -> list[Floats]:
    """Kernel of each of TERMS, the product of its blocks' kernels."""
    kernels = []
    for first, *others in TERMS:
        kernel = by_block[first]
        for name in others:
            kernel = kernel * by_block[name]
        kernels.append(kernel)
    return kernels


def interaction_kernel(by_block: Mapping[str, Floats], variances: Sequence[float] | Floats) -> Floats:
    """Likeness of the posts' sides in the interaction terms, weighted by the terms' variances; 1 for the same post."""
    sides = [(by_block[term[0]], value) for term, value in zip(TERMS, variances, strict=True) if len(term) > 1]
    kernels, weights = zip(*sides, strict=True)
    return weighted(kernels, np.array(weights) / sum(weights))


def weighted(kernels: Sequence[Floats], weights: Sequence[float] | Floats) -> Floats:
    """Weighted sum of kernels."""
    total = np.zeros_like(kernels[0])
    for kernel, weight in zip(kernels, weights, strict=True):
        total += weight * kernel
    return total
