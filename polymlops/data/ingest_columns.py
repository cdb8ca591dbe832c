"""Which column of a file is which: what the config names, else the first common name that is there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from polymlops.config.ingest import ColumnMap
from polymlops.errors import InputError

COMMON: Mapping[str, tuple[str, ...]] = {
    "community": ("site", "community", "forum"),
    "post_id": ("post_id", "question_id", "thread_id", "submission_id", "parent_id", "link_id", "conversation_id"),
    "title": ("title", "question_title", "post_title"),
    "post": ("post", "question", "post_text", "question_body", "parent_text", "submission", "prompt", "context"),
    "reply_id": ("reply_id", "answer_id", "comment_id", "response_id", "id"),
    "reply": ("reply", "answer", "comment", "response", "reply_text", "comment_text", "answer_body", "body", "text"),
    "author": ("author", "owner", "user", "username", "user_id", "author_id", "owner_id"),
    "likes": ("likes", "score", "like_count", "likes_count", "upvotes", "ups", "votes", "favorite_count"),
    "created": ("created", "created_at", "created_utc", "creation_date", "timestamp", "date"),
    "views": ("views", "view_count", "impressions", "impression_count"),
}
ABSENT = object()
ID_BYTES = 8


@dataclass(frozen=True, slots=True)
class Columns:
    """The column of a file for each of ours; a column that is not there has no entry."""

    names: Mapping[str, str]

    def take(self, cells: Mapping[str, Any]) -> dict[str, Any]:
        """Ours of a row's cells; None where a row lacks one."""
        return {ours: _cell(cells, theirs) for ours, theirs in self.names.items()}


def resolve_columns(wanted: ColumnMap, cells: Mapping[str, Any], where: str) -> Columns:
    """Find the columns among a first row's; what the config names comes first, and serves for nothing else.

    Raises: InputError where a named column is not there, or there is none for the reply, its likes, or the post.
    """
    named = {ours: theirs for ours, theirs in wanted.model_dump().items() if theirs is not None}
    there = ", ".join(cells) or "none"
    for ours, theirs in named.items():
        if _cell(cells, theirs, ABSENT) is ABSENT:
            raise InputError(f"{where}: no column {theirs!r} for {ours}; there are {there}")
    found = dict(named)
    for ours, common in COMMON.items():
        free = (name for name in common if name in cells and name not in found.values())
        if ours not in found and (name := next(free, None)) is not None:
            found[ours] = name
    for ours in ("reply", "likes", "post"):
        if ours not in found and not (ours == "post" and "title" in found):
            raise InputError(f"{where}: no column for {ours}; name one with --map {ours}=COLUMN. There are {there}")
    return Columns(found)


def digest(parts: Iterable[str]) -> str:
    """An id made of texts: 16 hex digits."""
    joined = "\x1f".join(parts).encode("utf-8", "replace")
    return hashlib.blake2b(joined, digest_size=ID_BYTES).hexdigest()


def _cell(cells: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """A cell by its column, or by the dotted path through nested ones."""
    if name in cells:
        return cells[name]
    value: Any = cells
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return default
        value = value[part]
    return value
