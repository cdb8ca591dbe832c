"""The candidate for anyone's data: which of two replies to a post is liked more, from the shape of their text.

A logistic regression on the differences of readable features within a post (Bradley-Terry with covariates). What a
post brings to all its replies cancels. When a reply came and who wrote it decide votes too, and no text shows it: they
are covariates of the fit, and have no part in a score.

Source: Bradley & Terry 1952.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from polymlops.config.rewards import Covariate
from polymlops.errors import DataQualityError
from polymlops.training.reward_data import RewardRows, resample_posts
from polymlops.training.text_shape import echo_share, repeated_share, words_of

if TYPE_CHECKING:
    from polymlops.metrics.arrays import Floats, Ints

SENTENCE = re.compile(r"[.!?](?:\s|$)")
LINK = re.compile(r"https?://|www\.")
FIRST_PERSON = frozenset({"i", "i'm", "i've", "i'd", "i'll", "me", "my", "mine"})
FEATURES = 14
PENALTY = 1.0  # C of the regression, on standardised features
PRIOR_REPLIES = 3.0  # an author's mean is drawn to everyone's as if by so many replies
MOST_PAIRS = 500_000  # that a fit learns from; whole posts, in random order


@dataclass(frozen=True)
class PairModel:
    """Mean and scale (F,) of the features, and the weights of each member (M, F)."""

    mean_F: Floats
    scale_F: Floats
    weights_MF: Floats

    def predict(self, posts: Sequence[str], replies: Sequence[str]) -> Floats:
        """Log-odds, up to a constant of the post, that a reply is liked more than another of it: (M, K)."""
        shapes_KF = (shape_features(posts, replies) - self.mean_F) / self.scale_F
        return np.asarray(self.weights_MF @ shapes_KF.T)


def fit_pair_model(rows: RewardRows, covariates: Sequence[Covariate], members: int, seed: int) -> PairModel:
    """Fit one member on all posts, or each on a bootstrap resample of them.

    Raises: DataQualityError where no post has two replies that differ in likes.
    """
    shapes_NF = shape_features(rows.posts, rows.replies)
    mean_F, scale_F = shapes_NF.mean(axis=0), shapes_NF.std(axis=0)
    scale_F = np.where(scale_F > 1e-9, scale_F, 1.0)
    known_NF = np.hstack([(shapes_NF - mean_F) / scale_F, covariate_values(rows, covariates)])
    rng = np.random.default_rng([seed, 5])
    weights = []
    for _ in range(members):
        drawn = np.arange(len(rows)) if members == 1 else resample_posts(rows, rng)
        weights.append(_fit(known_NF, rows, drawn, rng)[: shapes_NF.shape[1]])
    return PairModel(mean_F, scale_F, np.array(weights))


def shape_features(posts: Sequence[str], replies: Sequence[str]) -> Floats:
    """Readable features of pairs, (K, F): length, sentences, wording, what is taken from the post, links, voice."""
    return np.array([_shape(*pair) for pair in zip(posts, replies, strict=True)]).reshape(len(replies), FEATURES)


def covariate_values(rows: RewardRows, covariates: Sequence[Covariate]) -> Floats:
    """What no text shows, (N, C): log hours after the post's first reply, mean of the author's other replies."""
    columns = []
    if "age" in covariates and rows.age_N is not None:
        columns.append(rows.age_N)
    if "author" in covariates:
        columns.append(_others_of_author(rows))
    return np.stack(columns, axis=1) if columns else np.zeros((len(rows), 0))


def _shape(post: str, reply: str) -> list[float]:
    words, source = words_of(reply), set(words_of(post))
    count = max(len(words), 1)
    return [
        float(np.log1p(len(words))),
        float(np.log1p(len(words)) ** 2),
        float(np.log1p(len(SENTENCE.findall(reply)))),
        sum(map(len, words)) / count,
        len(set(words)) / count,
        repeated_share(reply),
        echo_share(post, reply),
        sum(word in source for word in words) / count,
        len(source & set(words)) / max(len(source), 1),
        float(np.log1p(len(LINK.findall(reply)))),
        sum(character.isdigit() for character in reply) / max(len(reply), 1),
        sum(character.isupper() for character in reply) / max(len(reply), 1),
        reply.count("?") / count,
        sum(word in FIRST_PERSON for word in words) / count,
    ]


def _others_of_author(rows: RewardRows) -> Floats:
    centred_N = rows.target_N - rows.target_N.mean()
    sums, counts = np.bincount(rows.author_N, weights=centred_N), np.bincount(rows.author_N)
    others = sums[rows.author_N] - centred_N
    return np.asarray(others / (counts[rows.author_N] - 1 + PRIOR_REPLIES))


def _fit(known_NF: Floats, rows: RewardRows, drawn: Ints, rng: np.random.Generator) -> Floats:
    from sklearn.linear_model import LogisticRegression

    better, worse, weight = _pairs(rows, drawn, rng)
    if not len(better):
        raise DataQualityError("no post has two replies that differ in likes: there is nothing to compare")
    # Every other pair is turned round: the regression has two classes and no intercept.
    sign_Q = np.where(np.arange(len(better)) % 2, 1.0, -1.0)
    differences_QF = (known_NF[better] - known_NF[worse]) * sign_Q[:, None]
    if len(better) == 1:
        differences_QF, sign_Q = np.vstack([differences_QF, -differences_QF]), np.array([-1.0, 1.0])
        weight = np.repeat(weight, 2)
    model = LogisticRegression(C=PENALTY, fit_intercept=False, max_iter=1000)
    return np.asarray(model.fit(differences_QF, sign_Q > 0, sample_weight=weight).coef_[0])


def _pairs(rows: RewardRows, drawn: Ints, rng: np.random.Generator) -> tuple[Ints, Ints, Floats]:
    """Positions of the better and the worse reply of each pair, and its weight; a post weighs the root of its pairs."""
    order = drawn[np.argsort(rows.post_N[drawn], kind="stable")]
    groups = np.split(order, np.flatnonzero(np.diff(rows.post_N[order])) + 1)
    better, worse, weight, total = [], [], [], 0
    for group in (groups[i] for i in rng.permutation(len(groups))):
        left, right = np.nonzero(rows.target_N[group][:, None] > rows.target_N[group])
        if len(left):
            better.append(group[left])
            worse.append(group[right])
            weight.append(np.full(len(left), len(left) ** -0.5))
            total += len(left)
        if total > MOST_PAIRS:
            break
    if not better:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    return np.concatenate(better), np.concatenate(worse), np.concatenate(weight)
