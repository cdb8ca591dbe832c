"""Print what pyproject.toml asks for: its dependencies, or of them the named ones; with an extra's behind them.

    requirements.py [NAME ...] [--extra EXTRA]

A layer of its own in the images: it is built again when pyproject.toml changes, not when the source does.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from pathlib import Path


def main() -> None:
    """Print one requirement a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--extra")
    given = parser.parse_args()
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    wanted = {name.lower() for name in given.names}
    lines = [line for line in project["dependencies"] if not wanted or _name(line) in wanted]
    missing = wanted - {_name(line) for line in lines}
    if missing:
        parser.error(f"pyproject.toml has no dependency {sorted(missing)}")
    print(*lines, *(project["optional-dependencies"][given.extra] if given.extra else []), sep="\n")


def _name(line: str) -> str:
    return re.split(r"[^A-Za-z0-9_.-]", line, maxsplit=1)[0].lower()


if __name__ == "__main__":
    main()
