"""Runs that say RUNNING after their process was killed: found, and closed with their status and the reason.

A process holds a lock for each of its runs, which the kernel frees when it dies; no clock decides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from polymlops.tracking import ledger
from polymlops.tracking.store import is_locked, locked

KILLED_HERE = "its process was killed"
OURS = (ledger.ROADMAP_KEY, ledger.STAGE_KEY, ledger.ROLE)
Ended = Callable[[str], str | None]
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Abandoned:
    """A run that was closed."""

    run_id: str
    title: str
    reason: str


@contextmanager
def held(output_dir: Path, run_id: str) -> Iterator[None]:
    """Say, while this lasts and only as long as this process lives, that somebody is at a run."""
    lock = _lock(output_dir, run_id)
    with locked(lock):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def close_abandoned(client: MlflowClient, output_dir: Path, ended: Ended = lambda flow_run_id: None) -> list[Abandoned]:
    """End as KILLED the open runs whose process died here, or whose flow run has `ended` (why, or None) elsewhere.

    Raises:
        TrackingError: the store cannot be reached.
    """
    closed = []
    for run in ledger.search(client, "attributes.status = 'RUNNING'", limit=1000):
        if not any(tag in run.data.tags for tag in OURS):
            continue
        reason = _reason(run, output_dir, ended)
        if reason is None:
            continue
        ledger.close_lost(client, [run], reason)
        closed.append(Abandoned(run.info.run_id, run.info.run_name or run.info.run_id, reason))
        logger.warning("%s (run %s) was left open and is closed: %s", closed[-1].title, run.info.run_id, reason)
    return closed


def unsettled(client: MlflowClient) -> list[Run]:
    """Runs that were closed so, whose flow runs may still be open."""
    return ledger.search(client, f"tags.{ledger.LOST} = '{ledger.CLOSED_HERE}'", limit=1000)


def _reason(run: Run, output_dir: Path, ended: Ended) -> str | None:
    tags = run.data.tags
    owner = tags.get(ledger.PARENT, "") if ledger.ROLE in tags else run.info.run_id  # an arm's run is of its roadmap
    lock = _lock(output_dir, owner)
    if lock.exists():
        return None if is_locked(lock) else KILLED_HERE
    flow_run_id = tags.get(ledger.FLOW_RUN)
    return None if flow_run_id is None else ended(flow_run_id)


def _lock(output_dir: Path, run_id: str) -> Path:
    return output_dir / "locks" / f"run-{run_id}.lock"
