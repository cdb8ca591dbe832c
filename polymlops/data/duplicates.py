"""One reply is kept of several that say the same thing under the same post: the most liked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import polars as pl

from polymlops.data.cleaning import Cleaned, account, comparable, describe

if TYPE_CHECKING:
    from datasketch import MinHash

PERMUTATIONS = 128
# Probability with which a pair exactly at the similarity may be overlooked by the index.
MISS = 1e-6
SHINGLE = 3


def shingles(text: str) -> frozenset[str]:
    """Return the word 3-shingles of `text`, case folded; a text of fewer words is one shingle."""
    words = comparable(text).split(" ")
    return frozenset(" ".join(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1)))


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """Shared part of two sets that are not both empty, in [0, 1]."""
    return len(a & b) / len(a | b)


def drop_duplicates(frame: pl.DataFrame, similarity: float) -> Cleaned:
    """Drop repeated reply ids and, within a post, equal and nearly equal replies.

    Of equal ones the most liked is kept, ties by reply id and text, so that the order of rows does not matter. Two
    replies are nearly equal where the Jaccard similarity of their word 3-shingles is at least `similarity`: a MinHash
    index proposes the pairs (it overlooks one in a million at the threshold), the exact similarity decides.
    """
    ordered = frame.sort(["likes", "reply_id", "reply", "post_id", "post"], descending=[True, *[False] * 4])
    reasons: dict[int, str] = {}
    seen_ids: set[str] = set()
    posts: dict[str, list[int]] = {}
    seen_texts: set[tuple[str, str]] = set()
    for index, row in enumerate(ordered.iter_rows(named=True)):
        key = (row["post_id"], comparable(row["reply"]))
        if row["reply_id"] in seen_ids:
            reasons[index] = "duplicate_reply_id"
        elif key in seen_texts:
            reasons[index] = "duplicate_reply"
        else:
            posts.setdefault(row["post_id"], []).append(index)
        seen_ids.add(row["reply_id"])
        seen_texts.add(key)
    near = _near_duplicates(ordered["reply"].to_list(), posts, similarity)
    reasons.update(dict.fromkeys(near, "near_duplicate_reply"))
    dropped = [(reason, describe(ordered.row(index, named=True))) for index, reason in reasons.items()]
    kept = [index not in reasons for index in range(len(ordered))]
    return Cleaned(ordered.filter(pl.Series(kept, dtype=pl.Boolean)), account(dropped))


def _near_duplicates(texts: Sequence[str], posts: Mapping[str, list[int]], similarity: float) -> list[int]:
    """Indices of the replies that resemble an earlier, hence better liked, reply to their post."""
    from datasketch import MinHash

    crowded = [members for members in posts.values() if len(members) > 1]
    flat = [index for members in crowded for index in members]
    sets = {index: shingles(texts[index]) for index in flat}
    encoded = ([shingle.encode() for shingle in sorted(sets[index])] for index in flat)
    hashes = dict(zip(flat, MinHash.bulk(encoded, num_perm=PERMUTATIONS, seed=1), strict=True))
    return [index for members in crowded for index in _near_in_post(members, sets, hashes, similarity)]


def _near_in_post(
    members: Sequence[int], sets: Mapping[int, frozenset[str]], hashes: Mapping[int, MinHash], similarity: float
) -> list[int]:
    from datasketch import MinHashLSH

    index = MinHashLSH(num_perm=PERMUTATIONS, params=_bands(similarity))
    found = []
    for member in members:
        proposed = index.query(hashes[member])
        if any(jaccard(sets[member], sets[other]) >= similarity for other in proposed):
            found.append(member)
        else:
            index.insert(member, hashes[member])
    return found


def _bands(similarity: float) -> tuple[int, int]:
    """Bands and rows a band: as selective as the index can be while it overlooks no more than MISS at `similarity`."""
    for rows in range(PERMUTATIONS // 2, 1, -1):
        bands = PERMUTATIONS // rows
        if (1 - similarity**rows) ** bands <= MISS:
            return bands, rows
    return PERMUTATIONS, 1
