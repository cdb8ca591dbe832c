"""Small frozen records that more than one layer passes around."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval. `n` counts the units (prompts) behind it; `value` is NaN where undefined."""

    value: float
    low: float = math.nan
    high: float = math.nan
    n: int = 0

    @property
    def excludes_zero(self) -> bool:
        """True where the interval lies on one side of 0; False where it is undefined."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        if math.isnan(self.low) or math.isnan(self.high):
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


class MetricLog(Protocol):
    """Where training and scoring report numbers as they come; the tracking layer implements it."""

    def __call__(self, metrics: Mapping[str, float], step: int) -> None:
        """Record finite or NaN values under stable names at an optimizer step."""


class NoteLog(Protocol):
    """Where a stage says what somebody who reads its result should know; the tracking layer makes tags of it."""

    def __call__(self, name: str, text: str, /) -> None:
        """Keep a text under a name; a later one replaces it."""


class ProgressLog(Protocol):
    """Where a stage says how far it is, for people who wait; nothing of it is remembered."""

    def __call__(self, done: float, total: float, unit: str, /) -> None:
        """Show that `done` of `total` units are done. It returns at once and never raises."""


def silent(done: float, total: float, unit: str, /) -> None:
    """A ProgressLog that shows nothing."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a stage is given besides its config and inputs.

    `output` is an empty folder whose files become the artifact. `scratch` survives a kill: checkpoints and shards go
    there, each with its completion marker written last. A stage returns its final metrics by stable name. `halvings`
    counts the processes before this one that ended because a micro-batch was too large for memory.
    """

    output: Path
    scratch: Path
    log: MetricLog
    note: NoteLog = field(default=lambda name, text: None)
    progress: ProgressLog = silent
    halvings: int = 0
