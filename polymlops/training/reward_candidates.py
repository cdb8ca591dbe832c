"""The candidates for the reward model, behind one interface: fit on rows, predict for pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polymlops.config.rewards import Candidate, RewardModelConfig
from polymlops.training.reward_cross_encoder import CrossEncoderModel, fit_cross_encoder
from polymlops.training.reward_data import RewardRows, limit_posts, resample_posts
from polymlops.training.reward_features import PairFeatures
from polymlops.training.reward_guard import Guard, fit_guard
from polymlops.training.reward_kernel import KernelModel, TrainingRows, fit_kernel_model
from polymlops.training.reward_pairs import PairModel, fit_pair_model

if TYPE_CHECKING:
    from polymlops.metrics.arrays import Floats, Ints


Model = KernelModel | CrossEncoderModel | PairModel


@dataclass(frozen=True)
class Workshop:
    """All that a candidate is made from: settings, base folder, scratch folder, rows and their features."""

    config: RewardModelConfig
    base: Path
    scratch: Path
    rows: RewardRows
    features: PairFeatures


@dataclass(frozen=True)
class FittedCandidate:
    """A fitted candidate with its guard."""

    name: Candidate
    model: Model
    guard: Guard

    def score(self, posts: tuple[str, ...], replies: tuple[str, ...], features: PairFeatures) -> Floats:
        """Guarded predictions of each member, (M, K)."""
        return self.guard.apply(predict(self.model, posts, replies, features), features.guards_NG)


def predict(model: Model, posts: tuple[str, ...], replies: tuple[str, ...], features: PairFeatures) -> Floats:
    """Predictions of each member, (M, K), in the unit of the target."""
    if isinstance(model, KernelModel):
        return model.predict(features)
    return model.predict(posts, replies)


def fit_candidate(shop: Workshop, name: Candidate, index: Ints, members: int) -> FittedCandidate:
    """Fit a candidate on the rows at `index`; the guard learns from the same rows."""
    rows, features = shop.rows.take(index), shop.features.rows(index)
    model = FITS[name](shop, rows, features, members)
    predictions_MN = predict(model, rows.posts, rows.replies, features)
    return FittedCandidate(name, model, fit_guard(features.guards_NG, predictions_MN.mean(axis=0)))


def held_out_scores(shop: Workshop, name: Candidate, fold_N: Ints, fold: int) -> tuple[Ints, Floats]:
    """Positions of the fold's rows, and their scores by the candidate that was fitted on the others."""
    inside, outside = np.flatnonzero(fold_N == fold), np.flatnonzero(fold_N != fold)
    fitted = fit_candidate(shop, name, outside, members=1)
    held = shop.rows.take(inside)
    return inside, fitted.score(held.posts, held.replies, shop.features.rows(inside)).mean(axis=0)


def _fit_frozen(shop: Workshop, rows: RewardRows, features: PairFeatures, members: int) -> KernelModel:
    rng = np.random.default_rng([shop.config.seed, 2])
    index = limit_posts(rows, shop.config.max_rows, rng)
    training = TrainingRows(features, rows.target_N, rows.post_N, rows.author_N).rows(index)
    return fit_kernel_model(training, members, shop.config.seed)


def _fit_cross_encoder(shop: Workshop, rows: RewardRows, features: PairFeatures, members: int) -> CrossEncoderModel:
    rng = np.random.default_rng([shop.config.seed, 3])
    everything = np.arange(len(rows))
    drawn = [everything] if members == 1 else [resample_posts(rows, rng) for _ in range(members)]
    samples = [(part.posts, part.replies, part.target_N) for part in map(rows.take, drawn)]
    return fit_cross_encoder(shop.config.cross_encoder, shop.base, shop.scratch, samples, shop.config.seed)


def _fit_pairs(shop: Workshop, rows: RewardRows, features: PairFeatures, members: int) -> PairModel:
    return fit_pair_model(rows, shop.config.covariates, members, shop.config.seed)


FITS: Mapping[Candidate, Callable[[Workshop, RewardRows, PairFeatures, int], Model]] = {
    "frozen": _fit_frozen,
    "cross_encoder": _fit_cross_encoder,
    "pairs": _fit_pairs,
}
