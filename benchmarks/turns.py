"""Steps of several contestants in turns, each in its own training loop: whose turn it is not waits at its next step."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from transformers import TrainerCallback

PATIENCE_S = 1800.0


@dataclass
class Measured:
    """What the steps of one contestant took: seconds, tokens, useful operations, and memory above what lay there."""

    seconds: list[float] = field(default_factory=list)
    tokens: list[float] = field(default_factory=list)
    operations: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)


class Step:
    """A contestant that takes one step a call; the first is not measured."""

    def __init__(self, work: Callable[[], tuple[float, float]]) -> None:
        self.work = work  # tokens and useful operations of the step that it takes
        self.measured = Measured()

    def turn(self, counts: bool) -> None:
        """Take a step."""
        before = _memory()
        started = time.perf_counter()
        tokens, operations = self.work()
        after = _memory()  # waits for the device
        if counts:
            self.measured.seconds.append(time.perf_counter() - started)
            self.measured.tokens.append(tokens)
            self.measured.operations.append(operations)
            self.measured.memory.append(after[1] - before[0])


class Training(TrainerCallback):
    """A trainer that runs in a thread of its own and takes one optimizer step a turn."""

    def __init__(self, trainer: Any, told: Callable[[], tuple[float, float]]) -> None:
        self.told = told
        self.may, self.has = threading.Semaphore(0), threading.Semaphore(0)
        self.error: BaseException | None = None
        self.begun = False
        trainer.add_callback(self)
        self.thread = threading.Thread(target=self._train, args=(trainer,), daemon=True)

    def step(self) -> tuple[float, float]:
        """Let the trainer take its next step; tokens and operations of it. Raises what the trainer raised."""
        if not self.thread.is_alive() and self.error is None:
            self.thread.start()
        self.may.release()
        if not self.has.acquire(timeout=PATIENCE_S):
            raise TimeoutError(f"no step within {PATIENCE_S:g} s")
        if self.error is not None:
            raise self.error
        return self.told()

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Give the turn back, with all that follows a step behind it, and wait for the next."""
        if self.begun:
            self.has.release()
        self.begun = True
        self.may.acquire()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Give the last turn back."""
        self.has.release()

    def _train(self, trainer: Any) -> None:
        try:
            trainer.train()
        except BaseException as error:  # noqa: BLE001  # handed to the thread that waits, which raises it
            self.error = error
            self.has.release()


def _memory() -> tuple[int, int]:
    """Bytes on the device now, and the most since the last call; both 0 without CUDA."""
    import torch

    if not torch.cuda.is_available():
        return 0, 0
    torch.cuda.synchronize()
    found = torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    return found
