"""How good a predictor of likes is on held-out posts: correlations, ranks within a post, calibration; with intervals.

The unit is the post: replies to one post share its luck, so posts are resampled, never rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from polymlops.metrics.statistics import bootstrap_function, bootstrap_mean, bootstrap_ratio, paired_bootstrap
from polymlops.records import Estimate

if TYPE_CHECKING:
    from polymlops.metrics.arrays import Floats, Ints

BINS = 10


@dataclass(frozen=True)
class Held:
    """N held-out replies: log(1 + likes) and the post of each, with how to resample."""

    likes_N: Floats
    post_N: Ints
    resamples: int
    seed: int

    def rng(self) -> np.random.Generator:
        """A fresh generator, so that every figure is drawn from the same resampled posts."""
        return np.random.default_rng([self.seed, 4])


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of scores with likes: over all replies, and among the replies to one post."""

    pearson: Estimate
    spearman: Estimate
    within_post_spearman: Estimate
    pairwise_accuracy: Estimate


def agreement(scores_N: Floats, held: Held) -> Agreement:
    """All figures of one predictor. A post without two different counts of likes ranks nothing and is left out."""
    from scipy.stats import rankdata

    right_P, pairs_P = _concordance(scores_N, held)
    return Agreement(
        pearson(scores_N, held.likes_N, held),
        pearson(rankdata(scores_N), rankdata(held.likes_N), held),
        bootstrap_mean(within_post_spearman(scores_N, held), held.rng(), held.resamples),
        bootstrap_ratio(right_P, pairs_P, held.rng(), held.resamples),
    )


def pearson(scores_N: Floats, likes_N: Floats, held: Held) -> Estimate:
    """Pearson's correlation over rows, with an interval over posts; of ranks it is Spearman's."""
    return bootstrap_function(
        _moments(scores_N, likes_N, held), lambda m: _correlation(m[:, :6]), held.rng(), held.resamples
    )


def pearson_gain(scores_N: Floats, others_N: Floats, held: Held) -> Estimate:
    """Difference of two predictors' correlations with likes, over the same resampled posts."""
    both = np.hstack([_moments(scores, held.likes_N, held) for scores in (scores_N, others_N)])
    return bootstrap_function(
        both, lambda m: _correlation(m[:, :6]) - _correlation(m[:, 6:]), held.rng(), held.resamples
    )


def rank_gain(scores_N: Floats, others_N: Floats, held: Held) -> Estimate:
    """Mean difference of two predictors' rank correlations within a post."""
    ours_P, theirs_P = within_post_spearman(scores_N, held), within_post_spearman(others_N, held)
    return paired_bootstrap(ours_P, theirs_P, held.rng(), held.resamples)


def pair_gain(scores_N: Floats, others_N: Floats, held: Held) -> Estimate:
    """Difference of two predictors' shares of pairs in the right order, over the same resampled posts."""
    ours_P, pairs_P = _concordance(scores_N, held)
    theirs_P, _ = _concordance(others_N, held)
    return bootstrap_ratio(ours_P - theirs_P, pairs_P, held.rng(), held.resamples)


def within_post_spearman(scores_N: Floats, held: Held) -> Floats:
    """Spearman's correlation within each post whose replies differ in likes; 0 where all its scores are equal."""
    from scipy.stats import rankdata

    values = []
    for members in _posts(held):
        likes, scores = rankdata(held.likes_N[members]), rankdata(scores_N[members])
        if np.ptp(likes) > 0:
            values.append(float(np.corrcoef(scores, likes)[0, 1]) if np.ptp(scores) > 0 else 0.0)
    return np.array(values)


def reliability(scores_N: Floats, held: Held) -> list[dict[str, float]]:
    """Tenths of the replies by score: how many, their mean score, their mean log(1 + likes)."""
    parts = [part for part in np.array_split(np.argsort(scores_N, kind="stable"), BINS) if len(part)]
    return [
        {
            "replies": float(len(part)),
            "mean_score": float(scores_N[part].mean()),
            "mean_log_likes": float(held.likes_N[part].mean()),
        }
        for part in parts
    ]


def isotonic_calibration(scores_N: Floats, held: Held) -> dict[str, Any]:
    """An isotonic map from scores to log(1 + likes), fitted on half of the held-out posts and judged on the rest."""
    from sklearn.isotonic import IsotonicRegression

    fitted_N = held.post_N % 2 == 0
    curve = IsotonicRegression(out_of_bounds="clip").fit(scores_N[fitted_N], held.likes_N[fitted_N])
    scores, likes = scores_N[~fitted_N], held.likes_N[~fitted_N]
    slope, intercept = np.polyfit(scores, likes, 1) if np.ptp(scores) > 0 else (0.0, float(likes.mean()))
    return {
        "scores": curve.X_thresholds_.tolist(),
        "log_likes": curve.y_thresholds_.tolist(),
        "squared_error": float(((likes - scores) ** 2).mean()),
        "squared_error_calibrated": float(((likes - curve.predict(scores)) ** 2).mean()),
        "slope": float(slope),
        "intercept": float(intercept),
    }


def _posts(held: Held) -> list[Ints]:
    order = np.argsort(held.post_N, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(held.post_N[order])) + 1)


def _concordance(scores_N: Floats, held: Held) -> tuple[Floats, Floats]:
    """Pairs of replies to a post in the right order (a tie in score counts half), and pairs that differ in likes."""
    right, pairs = [], []
    for members in _posts(held):
        above_KK = held.likes_N[members][:, None] > held.likes_N[members]
        order_KK = np.sign(scores_N[members][:, None] - scores_N[members])
        right.append(float(((1 + order_KK) / 2)[above_KK].sum()))
        pairs.append(float(above_KK.sum()))
    return np.array(right), np.array(pairs)


def _moments(x_N: Floats, y_N: Floats, held: Held) -> Floats:
    """Sums of 1, x, y, x^2, y^2, xy over each post, (P, 6); x and y centred, which changes no correlation."""
    x, y = x_N - x_N.mean(), y_N - y_N.mean()
    columns = (np.ones_like(x), x, y, x * x, y * y, x * y)
    sums_P6 = np.stack([np.bincount(held.post_N, weights=column) for column in columns], axis=1)
    return np.asarray(sums_P6[np.unique(held.post_N)], dtype=np.float64)


def _correlation(sums_R6: Floats) -> Floats:
    count, x, y, xx, yy, xy = sums_R6.T
    spread = (xx / count - (x / count) ** 2) * (yy / count - (y / count) ** 2)
    covariance = xy / count - x * y / count**2
    return np.divide(covariance, np.sqrt(np.maximum(spread, 0)), out=np.full(len(count), np.nan), where=spread > 1e-18)
