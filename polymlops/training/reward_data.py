"""What the reward model learns from: the rows of the `reward` split, their target, and the folds of posts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from polymlops.config.rewards import RewardModelConfig
from polymlops.data.cleaning import comparable
from polymlops.data.engagement import log_likes
from polymlops.data.prompts import load_split
from polymlops.errors import DataQualityError

if TYPE_CHECKING:
    from polymlops.metrics.arrays import Floats, Ints

FEWEST_POSTS = 2  # in each fold


@dataclass(frozen=True)
class RewardRows:
    """N replies with likes; posts with one text are one post. `log_likes_N` is log(1 + likes).

    `age_N` is log(1 + hours) since the post's first reply, the mean where it is not known; none without any date.
    """

    posts: tuple[str, ...]
    replies: tuple[str, ...]
    post_N: Ints
    author_N: Ints
    log_likes_N: Floats
    target_N: Floats
    age_N: Floats | None = None

    def take(self, index: Ints) -> RewardRows:
        """The rows at these positions."""
        return RewardRows(
            tuple(self.posts[i] for i in index),
            tuple(self.replies[i] for i in index),
            self.post_N[index],
            self.author_N[index],
            self.log_likes_N[index],
            self.target_N[index],
            None if self.age_N is None else self.age_N[index],
        )

    def __len__(self) -> int:
        return len(self.posts)


def load_rows(config: RewardModelConfig, dataset: Path) -> RewardRows:
    """Read the `reward` split, and no other.

    Raises:
        DataQualityError: too few posts for the folds, all likes are equal, or the target is per view and no row has
            views; rows without them are left out then.
    """
    frame = load_split(dataset, "reward").sort("post_id", "reply_id")
    if config.target == "per_view":
        frame = _with_views(frame)
    post_N = _numbers([comparable(post) for post in frame["post"]])
    log_likes_N = log_likes(frame["likes"].to_numpy())
    posts = int(post_N.max(initial=-1)) + 1
    if posts < FEWEST_POSTS * config.folds:
        raise DataQualityError(f"{posts} posts in the reward split are too few for {config.folds} folds")
    if np.ptp(log_likes_N) == 0:
        raise DataQualityError("all replies of the reward split have the same likes: there is nothing to learn")
    texts = tuple(frame["post"]), tuple(frame["reply"])
    target_N = _target(config, frame, log_likes_N, post_N)
    return RewardRows(*texts, post_N, _numbers(frame["author"].to_list()), log_likes_N, target_N, _ages(frame, post_N))


def _target(config: RewardModelConfig, frame: pl.DataFrame, log_likes_N: Floats, post_N: Ints) -> Floats:
    if config.target == "rank":
        return rank_scores(log_likes_N, post_N)
    return log_likes_N - np.log1p(frame["views"].to_numpy()) if config.target == "per_view" else log_likes_N


def _with_views(frame: pl.DataFrame) -> pl.DataFrame:
    seen = frame.drop_nulls("views") if "views" in frame.columns else frame.clear()
    if seen.is_empty():
        raise DataQualityError("reward_model.target per_view needs a column of views: map one, or take log1p or rank")
    return seen


def _ages(frame: pl.DataFrame, post_N: Ints) -> Floats | None:
    if "created" not in frame.columns:
        return None
    moments = frame["created"].str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False)
    hours_N = moments.dt.epoch("s").cast(pl.Float64).fill_null(float("nan")).to_numpy() / 3600
    first_P = np.full(int(post_N.max()) + 1, np.inf)
    np.fmin.at(first_P, post_N, hours_N)
    known_N = np.isfinite(hours_N)
    age_N = np.zeros(len(hours_N))
    age_N[known_N] = np.log1p(hours_N[known_N] - first_P[post_N[known_N]])
    return np.where(known_N, age_N, age_N[known_N].mean()) if known_N.any() else None


def rank_scores(values_N: Floats, groups_N: Ints) -> Floats:
    """Normal scores of the ranks within each group, ties sharing their mean rank; 0 for a group of one.

    Source: Blom 1958, with (rank - 1/2) / n.
    """
    from scipy.special import ndtri
    from scipy.stats import rankdata

    scores_N = np.zeros(len(values_N))
    for group in np.unique(groups_N):
        members = np.flatnonzero(groups_N == group)
        scores_N[members] = ndtri((rankdata(values_N[members]) - 0.5) / len(members))
    return scores_N


def fold_numbers(rows: RewardRows, folds: int, seed: int) -> Ints:
    """The fold of each row, (N,); a post's rows are in one fold."""
    posts = int(rows.post_N.max()) + 1
    order = np.random.default_rng([seed, 1]).permutation(posts)
    fold_of = np.empty(posts, dtype=np.int64)
    fold_of[order] = np.arange(posts) % folds
    return fold_of[rows.post_N]


def resample_posts(rows: RewardRows, rng: np.random.Generator) -> Ints:
    """Positions of the rows of as many posts as there are, drawn with replacement."""
    members = [np.flatnonzero(rows.post_N == post) for post in np.unique(rows.post_N)]
    return np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])


def limit_posts(rows: RewardRows, limit: int, rng: np.random.Generator) -> Ints:
    """Positions of all rows, or of randomly chosen posts with at most `limit` rows together, in order."""
    posts, sizes = np.unique(rows.post_N, return_counts=True)
    order = rng.permutation(len(posts))
    chosen = posts[order[np.cumsum(sizes[order]) <= limit]]
    return np.flatnonzero(np.isin(rows.post_N, chosen))


def _numbers(names: Sequence[str]) -> Ints:
    return np.unique(np.array(names, dtype=str), return_inverse=True)[1].astype(np.int64)
