"""What a process that was killed left open, closed in MLflow and in Prefect by whoever comes next."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from polymlops.tracking import ledger
from polymlops.tracking.abandoned import Abandoned, close_abandoned, unsettled
from polymlops.tracking.store import open_store


def close_runs(uri: str, output_dir: Path) -> list[Abandoned]:
    """Close, in the tracking store and on the Prefect server, the runs whose process is gone.

    Raises:
        TrackingError: the store cannot be reached.
        httpx.HTTPError: the Prefect API cannot.
    """
    store = open_store(uri)
    with get_client(sync_client=True) as client:
        shared = bool(os.environ.get("PREFECT_API_URL"))  # on a server of our own nothing else can have ended a run
        closed = close_abandoned(store, output_dir, lambda run: _ended(client, run) if shared else None)
        for run in unsettled(store):
            tags = run.data.tags
            if ledger.FLOW_RUN in tags:
                _crash(client, UUID(tags[ledger.FLOW_RUN]), tags[ledger.ERROR])
            ledger.set_tags(store, run.info.run_id, {ledger.LOST: ledger.SETTLED})
    return closed


def _ended(client: SyncPrefectClient, flow_run_id: str) -> str | None:
    """Why a flow run has ended; none while it may go on, or where this server does not know it."""
    try:
        state = client.read_flow_run(UUID(flow_run_id)).state
    except ObjectNotFound:
        return None
    if state is None or not state.is_final():
        return None
    return f"its flow run is {state.name}" + (f": {state.message}" if state.message else "")


def _crash(client: SyncPrefectClient, flow_run_id: UUID, reason: str) -> None:
    """Mark a flow run, and those that it started in its process, as crashed where they are open."""
    below = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[flow_run_id]))
    try:
        runs: list[FlowRun] = [client.read_flow_run(flow_run_id), *client.read_flow_runs(flow_run_filter=below)]
    except ObjectNotFound:
        return
    for run in runs:
        of_a_worker = run.deployment_id is not None and run.id != flow_run_id  # it lives on
        if run.state is not None and run.state.is_running() and not of_a_worker:
            client.set_flow_run_state(run.id, Crashed(message=reason), force=True)
