"""How far a trainer is: its bar (rate, time left) on stderr, without the metrics that transformers prints to stdout,
and what a stage shows to people elsewhere.
"""

from __future__ import annotations

from typing import Any

from transformers import PrinterCallback, ProgressCallback, Trainer

from polymlops.records import ProgressLog, silent


class QuietProgress(ProgressCallback):
    """transformers' bar; logged metrics go to the tracker, not to the terminal."""

    def __init__(self, progress: ProgressLog) -> None:
        super().__init__()
        self.progress = progress

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """One optimizer step more."""
        super().on_step_end(args, state, control, **kwargs)
        if state.is_world_process_zero:
            self.progress(state.global_step, state.max_steps, "step")

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Print nothing."""


def use_quiet_progress(trainer: Trainer, progress: ProgressLog = silent) -> None:
    """Put the quiet bar in the place of the default ones, and tell `progress` of every optimizer step."""
    trainer.remove_callback(ProgressCallback)
    trainer.remove_callback(PrinterCallback)  # what transformers takes where its bars are off
    trainer.add_callback(QuietProgress(progress))
