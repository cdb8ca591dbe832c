"""Wait until Prefect has written down what happened: task runs reach it as events, some time after the fact."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterParentFlowRunId
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker


def wait_until_settled(flow_run_id: UUID | None, timeout_s: float) -> bool:
    """Wait for the task runs of a flow run and of its children to be final. Returns whether they are."""
    if flow_run_id is None:
        return True
    send_everything(timeout_s)
    deadline = time.monotonic() + timeout_s
    with get_client(sync_client=True) as client:
        while time.monotonic() < deadline:
            if _is_settled(client, flow_run_id):
                return True
            time.sleep(0.1)
    return False


def send_everything(timeout_s: float) -> None:
    """Send the events and log lines that wait in this process; after the API is gone, each would be tried for long.

    In a thread of its own, because in one with a running event loop Prefect would only hand out something to await.
    """
    with ThreadPoolExecutor(1) as thread:
        for worker in (EventsWorker, APILogWorker):
            thread.submit(worker.drain_all, timeout=timeout_s).result()


def _is_settled(client: SyncPrefectClient, flow_run_id: UUID) -> bool:
    try:
        children = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[flow_run_id]))
        )
        ids = [flow_run_id, *(child.id for child in children)]
        runs = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=ids)))
    except httpx.HTTPError:  # the API is busy writing; ask again
        return False
    return all(run.state is not None and run.state.is_final() for run in runs)
