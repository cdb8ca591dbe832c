"""Text and tables for pages that render Markdown, where nothing that a run is made of may become markup."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Between letters or digits `_` and `-` mean nothing; Prefect's page shows the backslash where they stand in a link.
SPECIAL = re.compile(r"([\\`*{}\[\]()<>#+!|~&]|(?<![^\W_])[_-]|[_-](?![^\W_]))")
LONGEST = 500  # characters of one text


def plain(text: str, longest: int = LONGEST) -> str:
    """Text that shows as itself: no markup, no link, no line break; the end of a long one is left out."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return SPECIAL.sub(r"\\\1", line if len(line) <= longest else f"{line[:longest]}...")


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of plain text cells; the first column is left-aligned, the others right."""
    lines = [[plain(cell) for cell in row] for row in (head, *rows)]
    rule = [":--", *("--:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (lines[0], rule, *lines[1:]))
