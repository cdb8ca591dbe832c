"""What people see on the page of a Prefect run: artifacts, sent beside the work and never at its cost."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from contextvars import copy_context
from threading import Thread
from typing import Any, Literal
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.exceptions import PrefectException
from prefect.utilities.context import get_task_and_flow_run_ids

REQUEST_S, PATIENCE_S = 10.0, 15.0  # for an answer of the API; for all that one artifact takes
REFUSALS = (httpx.HTTPError, PrefectException, RuntimeError, OSError)  # RuntimeError: the client's, for no API
LONGEST_KEY = 200
logger = logging.getLogger("polymlops.pages")


def artifact_key(*parts: str) -> str:
    """A key as Prefect takes it, lower case with dashes: `progress-train-adapter-polychromic-42`."""
    return re.sub("[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")[:LONGEST_KEY]


def show(kind: Literal["markdown", "table"], key: str, data: Any, description: str = "") -> None:
    """Put an artifact on the page of the run that is under way; outside of one, nothing is shown.

    Where the API is slow or away, this costs a line in the log and at most PATIENCE_S.
    """
    task_run_id, flow_run_id = get_task_and_flow_run_ids()
    if flow_run_id is None:
        return
    artifact = ArtifactCreate(
        type=kind, key=key, data=data, description=description, flow_run_id=flow_run_id, task_run_id=task_run_id
    )
    thread = in_thread(lambda: _post(artifact), f"show-{key}")
    thread.join(PATIENCE_S)
    if thread.is_alive():
        logger.warning("%s: the Prefect API is slow; the run's page may lack it", key)


def in_thread(work: Callable[[], None], name: str) -> Thread:
    """Start work in a thread that knows this run and its API, and that nobody has to wait for."""
    thread = Thread(target=copy_context().run, args=(work,), name=name, daemon=True)
    thread.start()
    return thread


def page_client() -> SyncPrefectClient:
    """A client that does not wait long; to be used as a context."""
    return get_client({"timeout": REQUEST_S}, sync_client=True)


def create_artifact(client: SyncPrefectClient, artifact: ArtifactCreate) -> UUID:
    """Create an artifact; gives its id."""
    return client.create_artifact(artifact).id


def _post(artifact: ArtifactCreate) -> None:
    try:
        with page_client() as client:
            create_artifact(client, artifact)
    except REFUSALS as error:
        logger.warning("%s is not on the run's page: %s", artifact.key, error)
