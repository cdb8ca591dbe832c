"""Splits that leak nothing: no post, no post text and no author is in two of them.

Posts that are tied by an author or a text form components. Small components move whole, and nothing is lost. Real data
has giant ones: their posts are assigned one by one, each author then goes to one split, and the rows that would cross
are dropped and counted. Posts are spread over the splits by engagement, so that every split has its share of loved and
ignored posts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from polymlops.config.schema import SplitConfig
from polymlops.data.cleaning import Drops, account, comparable, describe
from polymlops.data.engagement import log_likes_of
from polymlops.metrics.arrays import Floats

SPLITS = tuple(SplitConfig.model_fields)
ENGAGEMENT_BINS = 10
POSTS_PER_BIN = 20


@dataclass(frozen=True, slots=True)
class Split:
    """Rows with their `split`, the crossing rows that were dropped, and how many posts were assigned to each split."""

    rows: pl.DataFrame
    drops: Drops
    posts_assigned: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Group:
    """Posts that must stay together, with their number in each engagement bin (and in all) as `bins_B`."""

    posts: tuple[str, ...]
    bins_B: Floats


def split_interactions(frame: pl.DataFrame, shares: SplitConfig, seed: int) -> Split:
    """Assign clean interactions to the splits of `shares` (of posts); the order of rows does not matter."""
    if frame.is_empty():
        return Split(frame.with_columns(pl.lit(None, pl.String).alias("split")), Drops(), {})
    rows = frame.sort(["post_id", "reply_id", "reply"])
    texts = _texts_of(rows)
    posts = sorted(texts)
    bins_of = _engagement_bins(rows, posts)
    limit = max(1.0, min(shares.model_dump().values()) / 2 * len(posts))
    groups = [
        _Group(tuple(members), np.sum([bins_of[post] for post in members], axis=0))
        for members in _components(rows, texts, limit)
    ]
    split_of_post = _assign_groups(groups, shares, np.random.default_rng(seed))
    split_of_author = _assign_authors(rows, split_of_post, np.random.default_rng([seed, 1]))
    rows = rows.with_columns(
        pl.Series("split", [split_of_post[post] for post in rows["post_id"]], dtype=pl.String),
        pl.Series("author_split", [split_of_author[author] for author in rows["author"]], dtype=pl.String),
    )
    crossing = rows.filter(pl.col("split") != pl.col("author_split"))
    drops = account(("crossing_author", describe(row)) for row in crossing.iter_rows(named=True))
    kept = rows.filter(pl.col("split") == pl.col("author_split")).drop("author_split")
    return Split(kept, drops, Counter(split_of_post.values()))


class _Forest:
    """Union-find over anything hashable, with path halving."""

    def __init__(self) -> None:
        self._parent: dict[Hashable, Hashable] = {}

    def find(self, item: Hashable) -> Hashable:
        parent = self._parent
        parent.setdefault(item, item)
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    def union(self, a: Hashable, b: Hashable) -> None:
        self._parent[self.find(a)] = self.find(b)


def _texts_of(rows: pl.DataFrame) -> dict[str, tuple[str, ...]]:
    """The comparable texts of each post: one, unless the data contradicts itself."""
    texts: dict[str, tuple[str, ...]] = {}
    for post_id, post in rows.select("post_id", "post").unique().sort("post_id", "post").iter_rows():
        texts[post_id] = (*texts.get(post_id, ()), comparable(post))
    return texts


def _engagement_bins(rows: pl.DataFrame, posts: Sequence[str]) -> dict[str, Floats]:
    """For each post an indicator of its quantile bin of mean log1p likes, and a 1 that counts it in all."""
    engagement = rows.group_by("post_id").agg(log_likes_of("likes").mean()).sort("post_id")["likes"].to_numpy()
    bins = int(np.clip(len(posts) // POSTS_PER_BIN, 1, ENGAGEMENT_BINS))
    edges = np.quantile(engagement, np.linspace(0, 1, bins + 1)[1:-1])
    indicators_PB = np.zeros((len(posts), bins + 1))
    indicators_PB[np.arange(len(posts)), np.searchsorted(edges, engagement, side="right")] = 1
    indicators_PB[:, -1] = 1
    return dict(zip(posts, indicators_PB, strict=True))


def _components(rows: pl.DataFrame, texts: Mapping[str, tuple[str, ...]], limit: float) -> list[list[str]]:
    """Posts that share authors or texts; components of more than `limit` posts fall apart into posts of one text."""
    same_text = _Forest()
    for post, its_texts in texts.items():
        for text in its_texts:
            same_text.union(("post", post), ("text", text))
    linked = _Forest()
    for post in texts:
        linked.union(("post", post), same_text.find(("post", post)))
    for post, author in rows.select("post_id", "author").unique().iter_rows():
        linked.union(("post", post), ("author", author))
    found: list[list[str]] = []
    for component in _grouped(texts, linked):
        found += [component] if len(component) <= limit else _grouped(component, same_text)
    return sorted(found)


def _grouped(posts: Iterable[str], forest: _Forest) -> list[list[str]]:
    members: dict[Hashable, list[str]] = defaultdict(list)
    for post in posts:
        members[forest.find(("post", post))].append(post)
    return [sorted(group) for group in members.values()]


def _assign_groups(groups: Sequence[_Group], shares: SplitConfig, rng: np.random.Generator) -> dict[str, str]:
    """Greedy, largest first: each group goes where the chi-square distance to the wanted counts grows least."""
    total_B = np.sum([group.bins_B for group in groups], axis=0)
    wanted_SB = np.outer([getattr(shares, name) for name in SPLITS], total_B)
    # The total weighs as much as all bins together: shares come before stratification.
    weight_B = np.r_[np.ones(len(total_B) - 1), len(total_B) - 1]
    # An empty bin (many equal values) wants nothing, and no group has a post in it.
    scale_SB = weight_B / np.where(wanted_SB > 0, wanted_SB, 1.0)
    current_SB = np.zeros_like(wanted_SB)
    split_of: dict[str, str] = {}
    shuffled = [groups[i] for i in rng.permutation(len(groups))]
    for group in sorted(shuffled, key=lambda item: -item.bins_B[-1]):
        growth_SB = group.bins_B * (2 * (current_SB - wanted_SB) + group.bins_B) * scale_SB
        chosen = int(growth_SB.sum(axis=1).argmin())
        current_SB[chosen] += group.bins_B
        split_of.update(dict.fromkeys(group.posts, SPLITS[chosen]))
    return split_of


def _assign_authors(rows: pl.DataFrame, split_of_post: Mapping[str, str], rng: np.random.Generator) -> dict[str, str]:
    """Each author goes where most of their replies are, weighed by how few of its replies the split has kept so far.

    Without the weight every author of a well-mixed crowd would go to the largest split and the others would be empty.
    """
    counts_of: dict[str, Floats] = defaultdict(lambda: np.zeros(len(SPLITS)))
    for post, author in rows.select("post_id", "author").iter_rows():
        counts_of[author][SPLITS.index(split_of_post[post])] += 1
    available_S = np.sum(list(counts_of.values()), axis=0)
    kept_S = np.zeros(len(SPLITS))
    split_of: dict[str, str] = {}
    authors = sorted(counts_of)
    shuffled = [authors[i] for i in rng.permutation(len(authors))]
    # Authors without a choice first, then the most prolific: what they lose is the largest.
    for author in sorted(shuffled, key=lambda name: (np.count_nonzero(counts_of[name]) > 1, -counts_of[name].sum())):
        counts_S = counts_of[author]
        chosen = int((counts_S * (available_S + 1) / (kept_S + 1)).argmax())
        kept_S[chosen] += counts_S[chosen]
        split_of[author] = SPLITS[chosen]
    return split_of
