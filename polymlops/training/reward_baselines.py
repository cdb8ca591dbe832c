"""Trivial predictors of likes that a reward model has to beat: length, the author's mean, TF-IDF ridge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from polymlops.training.reward_data import RewardRows
from polymlops.training.text_shape import words_of

if TYPE_CHECKING:
    from polymlops.metrics.arrays import Floats, Ints

PRIOR_REPLIES = 3.0  # an author's mean is drawn to everyone's as if by so many replies
RIDGE_ALPHAS = (0.3, 1.0, 3.0, 10.0, 30.0)


def by_length(train: RewardRows, held: RewardRows) -> Floats:
    """Least squares on the number of words and its square."""
    return _design(held) @ np.linalg.lstsq(_design(train), train.log_likes_N, rcond=None)[0]


def by_author(train: RewardRows, held: RewardRows) -> Floats:
    """Mean of the author's other replies, shrunk to the mean of all; that mean for an author not seen before."""
    size = int(max(train.author_N.max(), held.author_N.max())) + 1
    mean = train.log_likes_N.mean()
    sums = np.bincount(train.author_N, weights=train.log_likes_N - mean, minlength=size)
    shrunk = sums / (np.bincount(train.author_N, minlength=size) + PRIOR_REPLIES)
    return mean + shrunk[held.author_N]


def by_tfidf(train: RewardRows, held: RewardRows) -> Floats:
    """Ridge on TF-IDF of words and word pairs of post and reply, its penalty chosen by leave-one-out error."""
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import RidgeCV

    columns = []
    for texts, others in ((train.posts, held.posts), (train.replies, held.replies)):
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
        columns.append((vectorizer.fit_transform(texts), vectorizer.transform(others)))
    left, right = (hstack(side).tocsr() for side in zip(*columns, strict=True))  # long texts have 10^5 word pairs
    return RidgeCV(RIDGE_ALPHAS).fit(left, train.log_likes_N).predict(right)


BASELINES: Mapping[str, Callable[[RewardRows, RewardRows], Floats]] = {
    "length": by_length,
    "author_mean": by_author,
    "tfidf_ridge": by_tfidf,
}


def baseline_scores(rows: RewardRows, fold_N: Ints) -> dict[str, Floats]:
    """Out-of-fold predictions of each baseline, (N,)."""
    scores = {name: np.zeros(len(rows)) for name in BASELINES}
    for fold in np.unique(fold_N):
        inside, outside = np.flatnonzero(fold_N == fold), np.flatnonzero(fold_N != fold)
        train, held = rows.take(outside), rows.take(inside)
        for name, predictor in BASELINES.items():
            scores[name][inside] = predictor(train, held)
    return scores


def _design(rows: RewardRows) -> Floats:
    words_N = np.array([len(words_of(reply)) for reply in rows.replies], dtype=np.float64)
    return np.stack([np.ones_like(words_N), words_N, words_N**2], axis=1)
