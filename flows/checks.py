"""One line of `doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]
GIB = 2**30


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, and what to do where it is not enough."""

    name: str
    level: Level
    found: str
    remedy: str = ""


def gib(size: float) -> str:
    """Bytes for people."""
    return f"{size / GIB:.1f} GiB"
