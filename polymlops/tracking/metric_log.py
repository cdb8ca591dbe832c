"""Metrics by step, sent in batches, so that training never waits long for the store."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.entities import Metric

from polymlops.errors import TrackingError
from polymlops.tracking.store import tracked_errors

BATCH = 1000
INTERVAL_S = 1.0
PAUSE_AFTER_FAILURE_S = 30.0
logger = logging.getLogger(__name__)


class MetricBuffer:
    """A MetricLog for one run. What the store refuses is kept and sent again; only the last `flush` raises."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self._run_id = run_id
        self._waiting: list[Metric] = []
        self._next_send = time.monotonic() + INTERVAL_S

    def __call__(self, metrics: Mapping[str, float], step: int) -> None:
        """Take metrics of a step; about once a second they are sent."""
        now = int(time.time() * 1000)
        self._waiting += [Metric(name, float(value), now, step) for name, value in metrics.items()]
        if time.monotonic() >= self._next_send:
            self._try_send()

    def flush(self) -> None:
        """Send everything.

        Raises:
            TrackingError: the store did not take it.
        """
        while self._waiting:
            batch = self._waiting[:BATCH]
            with tracked_errors(f"log metrics to run {self._run_id}"):
                self._client.log_batch(self._run_id, metrics=batch)
            del self._waiting[:BATCH]
        self._next_send = time.monotonic() + INTERVAL_S

    def _try_send(self) -> None:
        try:
            self.flush()
        except TrackingError as error:
            self._next_send = time.monotonic() + PAUSE_AFTER_FAILURE_S
            logger.warning("%s; %d metrics wait for the next attempt", error, len(self._waiting))
