"""Ridge on frozen features, in its kernel form, with random effects: the cheap candidate of the reward model.

Likes of a pair are a sum of smooth functions of feature blocks and of products of blocks (a closing sentence and a
reply, say), with Gaussian priors. Three more effects exist in training only, because no text shows them: what author
and post bring to all their replies, and what a post's readers think of alike replies. Without them, six replies to one
post would pass for six independent witnesses. Prior variances maximise the evidence on a sample of the posts. Half of
the prediction comes from this model, half from one in which the interaction has low rank (`reward_low_rank`).

Source: Rasmussen & Williams 2006, equations 2.25 (mean), 5.8 and 5.9 (evidence and its gradient).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from polymlops.training.reward_blocks import (
    TERMS,
    Scaling,
    block_kernels,
    block_scaling,
    interaction_kernel,
    scaled,
    term_kernels,
    weighted,
)
from polymlops.training.reward_features import PairFeatures
from polymlops.training.reward_low_rank import INTERACTIONS, fit_low_rank

if TYPE_CHECKING:
    from polymlops.metrics.arrays import Floats, Ints

EVIDENCE_ROWS = 700
FIRST_VARIANCE, FIRST_NOISE = 0.1, 0.3  # where the search starts, of a target of variance 1
LOG_BOUNDS = (-9.0, 3.0)


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """N rows to learn from: features, target, and the post and author of each as numbers."""

    features: PairFeatures
    target_N: Floats
    posts_N: Ints
    authors_N: Ints

    def rows(self, index: Ints) -> TrainingRows:
        """The rows at these positions."""
        return TrainingRows(self.features.rows(index), self.target_N[index], self.posts_N[index], self.authors_N[index])


@dataclass(frozen=True)
class KernelModel:
    """A fitted model of M members, which share variances and training rows; coefficients of rows not drawn are 0."""

    support: Mapping[str, Floats]  # scaled blocks of the training rows, each (N, D)
    scaling: Mapping[str, Scaling]
    variances: tuple[float, ...]  # of TERMS
    means_M: Floats
    coefficients_MN: Floats  # of all terms
    plain_MN: Floats  # of the terms without interactions, beside the low-rank part
    post_factors_MRN: Floats
    reply_factors_MRN: Floats

    def predict(self, features: PairFeatures) -> Floats:
        """Expected target of K pairs by each member, (M, K)."""
        blocks = {name: scaled(block, self.scaling[name]) for name, block in features.blocks.items()}
        by_block = block_kernels(blocks, self.support, self.scaling)
        terms = term_kernels(by_block)
        plain = [0.0 if number in INTERACTIONS else value for number, value in enumerate(self.variances)]
        # einsum adds up each pair by itself, so that its score does not depend on what is scored with it.
        total_MK = np.einsum("kn,mn->mk", weighted(terms, self.variances), self.coefficients_MN)
        total_MK += np.einsum("kn,mn->mk", weighted(terms, plain), self.plain_MN)
        post_MRK = np.einsum("kn,mrn->mrk", interaction_kernel(by_block, self.variances), self.post_factors_MRN)
        reply_MRK = np.einsum("kn,mrn->mrk", by_block["reply"], self.reply_factors_MRN)
        return total_MK + (post_MRK * reply_MRK).sum(axis=1) + self.means_M[:, None]


@dataclass(frozen=True)
class _Fit:
    """What the members have in common; the target is centred and scaled by each."""

    by_block: Mapping[str, Floats]
    kernels: list[Floats]  # of TERMS, then of the random effects
    variances: Floats  # of the kernels, then of the noise
    target_N: Floats

    def member(self, count_N: Ints, rng: np.random.Generator) -> tuple[float, Floats, Floats, Floats, Floats]:
        """Mean and coefficients; a row drawn twice has half the noise, one not drawn takes no part."""
        drawn = np.flatnonzero(count_N)
        mean = float(np.average(self.target_N, weights=count_N))
        target = self.target_N[drawn] - mean
        part = np.ix_(drawn, drawn)
        noise_NN = np.diag(self.variances[-1] / count_N[drawn])
        covariance_NN = weighted([kernel[part] for kernel in self.kernels], self.variances[:-1]) + noise_NN
        shared = weighted([self.kernels[i][part] for i in INTERACTIONS], self.variances[list(INTERACTIONS)])
        low = fit_low_rank(
            interaction_kernel(self.by_block, self.variances[: len(TERMS)])[part],
            self.by_block["reply"][part],
            covariance_NN - shared,
            target,
            rng,
        )
        full = [np.linalg.solve(covariance_NN, target), low.plain_N, low.post_RN, low.reply_RN]
        halves = (0.5, 0.5, np.sqrt(0.5), np.sqrt(0.5))
        spread_out = [_place(half * values, drawn, len(count_N)) for half, values in zip(halves, full, strict=True)]
        return mean, spread_out[0], spread_out[1], spread_out[2], spread_out[3]


def fit_kernel_model(rows: TrainingRows, members: int, seed: int) -> KernelModel:
    """Fit on all rows, or `members` times on the posts of a bootstrap resample where there is more than one."""
    scaling = {name: block_scaling(name, block) for name, block in rows.features.blocks.items()}
    support = {name: scaled(block, scaling[name]) for name, block in rows.features.blocks.items()}
    rng = np.random.default_rng(seed)
    sample = _whole_posts(rows.posts_N, EVIDENCE_ROWS, rng)
    sampled = {name: block[sample] for name, block in support.items()}
    part = block_kernels(sampled, sampled, scaling)
    spread = float(rows.target_N.std()) or 1.0
    standard = (rows.target_N - rows.target_N.mean()) / spread
    found = _maximise_evidence(_all_kernels(part, rows.rows(sample)), standard[sample]) * spread**2
    by_block = block_kernels(support, support, scaling)
    fit = _Fit(by_block, _all_kernels(by_block, rows), found, rows.target_N)
    posts, number_N = np.unique(rows.posts_N, return_inverse=True)
    fitted = []
    for _ in range(members):
        draws = np.bincount(rng.integers(len(posts), size=len(posts)), minlength=len(posts))
        fitted.append(fit.member(draws[number_N] if members > 1 else np.ones_like(number_N), rng))
    means, *coefficients = (np.array(values) for values in zip(*fitted, strict=True))
    return KernelModel(support, scaling, tuple(found[: len(TERMS)].tolist()), means, *coefficients)


def _maximise_evidence(kernels: list[Floats], target_N: Floats) -> Floats:
    """Variances of the kernels, and of the noise last."""
    from scipy.optimize import minimize

    start = np.log([*[FIRST_VARIANCE] * len(kernels), FIRST_NOISE])
    found = minimize(
        _negative_evidence,
        start,
        args=(kernels, target_N),
        jac=True,
        method="L-BFGS-B",
        bounds=[LOG_BOUNDS] * len(start),
        options={"maxiter": 40},
    )
    return np.exp(found.x)


def _negative_evidence(log_variances: Floats, kernels: list[Floats], target_N: Floats) -> tuple[float, Floats]:
    from scipy.linalg import cho_factor, cho_solve

    variances = np.exp(log_variances)
    identity = np.eye(len(target_N))
    factor = cho_factor(weighted(kernels, variances[:-1]) + variances[-1] * identity, lower=True)
    dual_N, inverse_NN = cho_solve(factor, target_N), cho_solve(factor, identity)
    value = target_N @ dual_N / 2 + np.log(np.diag(factor[0])).sum()
    slope_NN = inverse_NN - np.outer(dual_N, dual_N)
    gradient = [np.vdot(slope_NN, kernel) / 2 for kernel in kernels] + [np.trace(slope_NN) / 2]
    return float(value), np.array(gradient) * variances


def _all_kernels(by_block: Mapping[str, Floats], rows: TrainingRows) -> list[Floats]:
    """Kernel matrices of TERMS and of the random effects, each (N, N)."""
    same_post = (rows.posts_N[:, None] == rows.posts_N).astype(np.float64)
    same_author = (rows.authors_N[:, None] == rows.authors_N).astype(np.float64)
    return [*term_kernels(by_block), same_post, same_post * by_block["reply"], same_author]


def _place(values: Floats, drawn: Ints, size: int) -> Floats:
    """Values of the drawn rows at their places along the last axis, 0 elsewhere."""
    placed = np.zeros((*values.shape[:-1], size))
    placed[..., drawn] = values
    return placed


def _whole_posts(posts_N: Ints, limit: int, rng: np.random.Generator) -> Ints:
    """Positions of all rows of randomly chosen posts, about `limit` of them."""
    posts, sizes = np.unique(posts_N, return_counts=True)
    order = rng.permutation(len(posts))
    enough = int(np.searchsorted(np.cumsum(sizes[order]), limit)) + 1
    return np.flatnonzero(np.isin(posts_N, posts[order[:enough]]))
