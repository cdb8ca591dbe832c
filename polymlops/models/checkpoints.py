"""Checkpoints that can be trusted after a kill: a marker is written last, and only whole, marked ones are resumed."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from polymlops.models.ranks import wait_for_all

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments

MARKER = "COMPLETE"
logger = logging.getLogger(__name__)


class MarkComplete(TrainerCallback):
    """Write the marker, with the size of every file, into a checkpoint once the trainer has written everything else."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Called by the trainer after a checkpoint is on disk."""
        wait_for_all()  # each process writes its random state
        if not state.is_world_process_zero:
            return
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        partial = folder / f"{MARKER}.partial"
        partial.write_text(json.dumps(_sizes(folder)), encoding="utf-8")
        partial.rename(folder / MARKER)


def latest_complete(folder: Path) -> Path | None:
    """The whole checkpoint with the highest step, or None; half-written ones and truncated ones are passed over."""
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=_step, reverse=True):
        fault = _fault(checkpoint)
        if fault is None:
            return checkpoint
        logger.warning("%s is passed over: %s", checkpoint, fault)
    return None


def _fault(checkpoint: Path) -> str | None:
    try:
        wanted = json.loads((checkpoint / MARKER).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return "it was not written to its end"
    except ValueError:
        return f"its {MARKER} cannot be read"
    found = _sizes(checkpoint)
    return next(
        (f"{name} has {found.get(name)} bytes, not {size}" for name, size in wanted.items() if found.get(name) != size),
        None,
    )


def _sizes(folder: Path) -> dict[str, int]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(MARKER))
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in sorted(files)}


def _step(checkpoint: Path) -> int:
    match = re.fullmatch(r"checkpoint-(\d+)", checkpoint.name)
    return int(match.group(1)) if match else -1
