"""From the cells of a row to an interaction, or to the fault for which it is none."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from polymlops.data.cleaning import comparable, normalise
from polymlops.data.ingest_columns import Columns, digest
from polymlops.data.ingest_counts import parse_count, parse_date
from polymlops.data.ingest_lines import LARGEST_ROW, decode

ANONYMOUS = "anonymous-"
TEXTS = ("community", "post_id", "title", "post", "reply_id", "reply", "author")


@dataclass
class CellReader:
    """Reads the rows of one file. `notes` counts what was mended or could not be told: none of it drops a row."""

    columns: Columns
    post_characters: int
    notes: Counter[str] = field(default_factory=Counter)

    def read(self, cells: Mapping[str, Any]) -> dict[str, Any] | str:
        """The interaction by column, or a fault: huge_row, missing_field or not_a_count."""
        raw = self.columns.take(cells)
        texts = {name: _text(raw.get(name)) for name in TEXTS}
        if any(len(text) > LARGEST_ROW for text in texts.values() if text):
            return "huge_row"
        likes = parse_count(raw["likes"])
        post, reply = self._post(texts["title"], texts["post"]), texts["reply"]
        if likes is None or not post or not reply or ("post_id" in raw and not texts["post_id"]):
            return "missing_field"
        if isinstance(likes, float):
            return "not_a_count"
        site = f"{texts['community']}/" if texts["community"] else ""
        post_id = site + (texts["post_id"] or digest([comparable(post)]))
        reply_id = site + (texts["reply_id"] or digest([post_id, texts["author"] or "", reply]))
        author = site + self._author(texts["author"], reply_id)
        row = {"post_id": post_id, "post": post, "reply_id": reply_id, "reply": reply, "author": author, "likes": likes}
        return row | {"created": self._created(raw.get("created")), "views": self._views(raw.get("views"))}

    def _post(self, title: str | None, post: str | None) -> str:
        text = normalise(" ".join(part for part in (title, post) if part))
        if len(text) <= self.post_characters:
            return text
        self.notes["post_cut"] += 1
        cut = text[: self.post_characters + 1].rpartition(" ")[0]
        return cut or text[: self.post_characters]

    def _author(self, author: str | None, reply_id: str) -> str:
        if author and normalise(author):
            return author
        self.notes["anonymous"] += 1
        return ANONYMOUS + reply_id

    def _created(self, value: Any) -> str | None:
        found = None if value is None else parse_date(value)
        self.notes["created_not_a_date"] += value is not None and found is None
        return found

    def _views(self, value: Any) -> int | None:
        found = parse_count(value)
        if found is None:
            return None
        known = not isinstance(found, float) and found >= 0
        self.notes["views_not_a_count"] += not known
        return int(found) if known else None


def _text(value: Any) -> str | None:
    """A cell as text that can be written anywhere; None where it is empty, not a number, or no text at all."""
    if isinstance(value, bytes):
        value = decode(value)
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return None if isinstance(value, float) and math.isnan(value) else str(value)
