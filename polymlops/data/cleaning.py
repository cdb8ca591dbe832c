"""From raw interactions to clean ones: every row is kept or counted under the reason for which it was dropped."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from polymlops.errors import InputError

REQUIRED = ("post_id", "post", "reply_id", "reply", "author", "likes")
EXAMPLES_PER_REASON = 3
# Control characters that are not white space, zero-width space, byte-order mark, and marks that reorder or hide text.
# The joiners U+200C and U+200D stay: scripts and emoji are spelt with them.
INVISIBLE = r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]"
COUNT = re.compile(r"[+-]?[0-9]{1,15}")
LARGEST_COUNT = 10**15


@dataclass(frozen=True, slots=True)
class Drops:
    """How many rows were dropped for each reason, with up to 3 examples of each."""

    counts: Mapping[str, int] = field(default_factory=dict)
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Rows dropped for any reason."""
        return sum(self.counts.values())

    def __add__(self, other: Drops) -> Drops:
        counts, examples = dict(self.counts), dict(self.examples)
        for reason, count in other.counts.items():
            counts[reason] = counts.get(reason, 0) + count
            merged = examples.get(reason, ()) + other.examples.get(reason, ())
            examples[reason] = merged[:EXAMPLES_PER_REASON]
        return Drops(counts, examples)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The rows that stay, and an account of those that do not: rows in = len(rows) + drops.total."""

    rows: pl.DataFrame
    drops: Drops


def normalise(text: str) -> str:
    """Return `text` in Unicode NFC without invisible characters, its runs of white space folded to one space.

    Numbers stay as they are: where an invisible character stood between two digits, a space takes its place.
    """
    if text.isascii() and text.isprintable():  # most texts: nothing is invisible, and the only white space is a space
        return " ".join(text.split())
    text = re.sub(rf"(?<=\d){INVISIBLE}+(?=\d)", " ", text)
    text = unicodedata.normalize("NFC", re.sub(INVISIBLE, "", text))
    return re.sub(r"\s+", " ", text).strip()


def comparable(text: str) -> str:
    """Return what two texts have in common when they differ in case, accents' encoding or white space only."""
    return normalise(normalise(text).casefold())


def clean_interactions(frame: pl.DataFrame, min_characters: int, max_characters: int, least_likes: int = 0) -> Cleaned:
    """Normalise the texts of raw interactions and drop the rows that cannot be used.

    Needs the columns post_id, post, reply_id, reply, author, likes; others pass through. Lengths are in characters of
    the normalised reply, both ends included. A bad row never raises: it is counted as missing_field, not_a_count,
    negative_likes (few_likes where `least_likes` is not 0), empty, too_short, too_long or echo_of_post, the first that
    applies.

    Raises: InputError where a whole column is missing.
    """
    missing = [name for name in REQUIRED if name not in frame.columns]
    if missing:
        raise InputError(f"interactions lack the column {missing[0]}: {', '.join(REQUIRED)} are needed")
    kept: list[bool] = []
    clean: list[tuple[Any, ...]] = []
    dropped: list[tuple[str, str]] = []
    for raw in frame.select(REQUIRED).iter_rows():
        row = _normalised(raw)
        reason = _fault(row, min_characters, max_characters, least_likes)
        kept.append(reason is None)
        if reason is None:
            clean.append(row)
        else:
            dropped.append((reason, _example(raw)))
    schema = dict.fromkeys(REQUIRED[:-1], pl.String()) | {"likes": pl.Int64()}
    columns = pl.DataFrame(clean, schema=schema, orient="row")
    rows = frame.filter(pl.Series(kept, dtype=pl.Boolean)).with_columns(columns.get_columns())
    return Cleaned(rows, account(dropped))


def account(dropped: Iterable[tuple[str, str]]) -> Drops:
    """Count (reason, example) pairs by reason; the examples kept are the first in alphabetical order."""
    grouped: dict[str, list[str]] = {}
    for reason, example in dropped:
        grouped.setdefault(reason, []).append(example)
    return Drops(
        {reason: len(found) for reason, found in sorted(grouped.items())},
        {reason: tuple(sorted(found)[:EXAMPLES_PER_REASON]) for reason, found in sorted(grouped.items())},
    )


def describe(row: Mapping[str, Any]) -> str:
    """One line that lets a person find a row again."""
    return _example([row[name] for name in REQUIRED])


def _normalised(raw: Sequence[Any]) -> tuple[Any, ...]:
    post_id, post, reply_id, reply, author, likes = raw
    texts = [_text(value) for value in (post_id, post, reply_id, reply, author)]
    return (*texts, _count(likes))


def _text(value: Any) -> str | None:
    """The normalised text of a cell, None where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return normalise(str(value))


def _count(value: Any) -> int | float | None:
    """A cell as a whole number; None where it is missing, NaN where it is no count."""
    if value is None:
        return None
    if isinstance(value, str) and COUNT.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    # The comparison is false for NaN, so int() never meets one, nor an infinity.
    return int(value) if abs(value) <= LARGEST_COUNT and value == int(value) else math.nan


def _fault(row: Sequence[Any], min_characters: int, max_characters: int, least_likes: int) -> str | None:
    post_id, post, reply_id, reply, author, likes = row
    length = len(reply or "")
    faults = {
        "missing_field": None in row or not (post_id and reply_id and author),
        "not_a_count": isinstance(likes, float),
        "few_likes" if least_likes else "negative_likes": (likes or 0) < least_likes,
        "empty": not (post and reply),
        "too_short": length < min_characters,
        "too_long": length > max_characters,
    }
    reason = next((reason for reason, holds in faults.items() if holds), None)
    return reason or ("echo_of_post" if comparable(post) == comparable(reply) else None)


def _example(values: Sequence[Any]) -> str:
    cells = [f"{name}={str(value)[:80]!r}" for name, value in zip(REQUIRED, values, strict=True) if name != "post"]
    return " ".join(cells)
