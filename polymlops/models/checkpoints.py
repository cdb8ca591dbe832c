"""Checkpoints that can be trusted after a kill: a marker is written last, and only marked ones are resumed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments

MARKER = "COMPLETE"


class MarkComplete(TrainerCallback):
    """Write the marker into a checkpoint once the trainer has written everything else."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Called by the trainer after a checkpoint is on disk."""
        (Path(str(args.output_dir)) / f"checkpoint-{state.global_step}" / MARKER).touch()


def latest_complete(folder: Path) -> Path | None:
    """The marked checkpoint with the highest step, or None; half-written ones are passed over."""
    marked = [path.parent for path in folder.glob(f"checkpoint-*/{MARKER}")]
    return max(marked, key=_step, default=None)


def _step(checkpoint: Path) -> int:
    match = re.fullmatch(r"checkpoint-(\d+)", checkpoint.name)
    return int(match.group(1)) if match else -1
