"""The trainer's progress bar (rate, time left) on stderr, without the metrics that transformers prints to stdout."""

from __future__ import annotations

from typing import Any

from transformers import PrinterCallback, ProgressCallback, Trainer


class QuietProgress(ProgressCallback):
    """transformers' bar; logged metrics go to the tracker, not to the terminal."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Print nothing."""


def use_quiet_progress(trainer: Trainer) -> None:
    """Put the quiet bar in the place of the default ones."""
    trainer.remove_callback(ProgressCallback)
    trainer.remove_callback(PrinterCallback)  # what transformers takes where its bars are off
    trainer.add_callback(QuietProgress)
