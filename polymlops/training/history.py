"""Training metrics by step, reported once each however often a run was interrupted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from polymlops.records import MetricLog

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments

CLOCK = ("runtime", "per_second", "total_flos", "step_time")
# Counted or averaged since the process started, so that a resumed run has other values.
SINCE_START = ("num_tokens", "train_loss")  # endings: evaluation prefixes its own


class HistoryCallback(TrainerCallback):
    """Hands every logged number to the tracker; after a resume, first those up to the checkpoint."""

    def __init__(self, log: MetricLog) -> None:
        self.log = log

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Replay what the resumed checkpoint remembers."""
        for entry in state.log_history:
            self._report(entry)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Report the newest entry."""
        self._report(state.log_history[-1])

    def _report(self, entry: Mapping[str, float]) -> None:
        metrics = {f"train/{key}": float(value) for key, value in _kept(entry).items() if key not in {"step", "epoch"}}
        if metrics:
            self.log(metrics, int(entry["step"]))


def without_timings(history: Iterable[Mapping[str, float]]) -> list[dict[str, float]]:
    """The history less what depends on the clock or on interruptions, so that equal runs leave equal files."""
    kept = (_kept(entry) for entry in history)
    return [entry for entry in kept if set(entry) - {"step", "epoch"}]


def _kept(entry: Mapping[str, float]) -> dict[str, float]:
    return {key: value for key, value in entry.items() if not key.endswith(CLOCK + SINCE_START)}
