"""The commands that the README promises."""

from __future__ import annotations

import re
import shlex

from processes import ROOT


def readme_commands(section: str) -> list[list[str]]:
    """Arguments of `polymlops` of every line of a section's first block of commands."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(rf"^## {section}\n\n```\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    assert block, f"README.md has no commands under {section!r}"
    words = [shlex.split(line, comments=True) for line in block[1].splitlines()]
    assert all(line[0] == ".venv/bin/polymlops" for line in words), words
    return [line[1:] for line in words]


def with_places(command: list[str], places: dict[str, str]) -> list[str]:
    """The command with files of its own in the place of the README's names."""
    names = "|".join(map(re.escape, places))
    return [re.sub(names, lambda match: places[match[0]], word) for word in command]
