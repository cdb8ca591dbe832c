"""When a GPU's memory is too small for a micro-batch: a smaller one, and as many more of them an optimizer step."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from polymlops.errors import TrainingError
from polymlops.models import ranks
from polymlops.records import Job, MetricLog

T = TypeVar("T")
logger = logging.getLogger(__name__)


def fit_memory(train: Callable[[int, Job], T], batch: int, micro_batch: int, job: Job) -> T:
    """Train with a micro-batch that fits; each time that memory runs out it is halved, and the batch stays what it is.

    Args:
        train: trains with a given micro-batch and job, from the last checkpoint where there is one; it is called again
            after memory ran out.
        batch: rows of this process an optimizer step; every micro-batch divides it.
        micro_batch: the one to begin with.
        job: where the reason of every further attempt is noted.

    Raises:
        TrainingError: there is not enough memory for a single row.
        torch.OutOfMemoryError: it trains with others, who wait for it: all of them are to begin again.
    """
    import torch

    size, job = micro_batch, told_once(job)
    for _ in range(job.halvings):
        size = smaller_divisor(batch, size)
    while True:
        try:
            return train(size, job)
        except torch.OutOfMemoryError as error:
            if size == 1:
                raise TrainingError(f"no memory for a micro-batch of one row: {first_line(error)}") from error
            if ranks.count() > 1:
                raise
            smaller = smaller_divisor(batch, size)
            reason = f"out of memory with {size}, so {smaller} x {batch // smaller}: {first_line(error)}"
        # Outside of the handler: the error's traceback holds what filled the memory.
        size = smaller
        logger.warning("micro_batch: %s", reason)
        job.note("micro_batch", reason)
        gc.collect()
        torch.cuda.empty_cache()


class Once:
    """A MetricLog that hands a metric's value of a step on only once: a resumed attempt repeats what was told."""

    def __init__(self, log: MetricLog) -> None:
        self._log = log
        self._told: set[tuple[str, int]] = set()

    def __call__(self, metrics: Mapping[str, float], step: int) -> None:
        """Hand on what is new."""
        new = {name: value for name, value in metrics.items() if (name, step) not in self._told}
        self._told |= {(name, step) for name in new}
        if new:
            self._log(new, step)


def told_once(job: Job) -> Job:
    """The job, which hands a metric's value of a step on only once."""
    return job if isinstance(job.log, Once) else replace(job, log=Once(job.log))


def smaller_divisor(batch: int, size: int) -> int:
    """The largest divisor of the batch that is at most half the size."""
    return max(divisor for divisor in range(1, size // 2 + 1) if batch % divisor == 0)


def first_line(error: BaseException) -> str:
    """What an error says, in a line."""
    return next(iter(str(error).splitlines()), type(error).__name__)
