"""The ledger: which stages are done, under which key, in which run. MLflow holds it, so every machine shares it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import uuid4

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag, ViewType

from polymlops.errors import ArtifactError
from polymlops.refs import Reference
from polymlops.tracking.artifacts import OUTPUT, check_stored
from polymlops.tracking.store import tracked_errors

STAGE, STAGE_KEY, DIGEST, INVALID, SUPERSEDED_BY = "stage", "stage_key", "digest", "invalid", "superseded_by"
ROADMAP_KEY, ROLE, FLOW_RUN, CREATION = "roadmap_key", "role", "prefect.flow_run", "creation"
ERROR = "error"  # why a run ended
LOST = "lost"  # that nobody was there to end it, so that it ended after its work; how far it has been closed:
CLOSED_HERE, SETTLED = "closed", "settled"  # in MLflow only, in Prefect too
ATTEMPT, RETRIED_AFTER = "attempt", "retried_after"
NOTE = "note"  # prefix of what a stage says about itself
PARENT, RUN_NAME = "mlflow.parentRunId", "mlflow.runName"
MAX_RUN_NAME = 250  # characters of a column of MLflow's; SQLite takes more, Postgres does not
MAX_VALUE, MAX_PARAMS, MAX_METRICS = 6000, 100, 1000
MOST_RUNS, MAX_IDS = 1000, 100  # that one search gives, and may name
R = TypeVar("R", bound=Reference)
logger = logging.getLogger(__name__)


def find_finished(
    client: MlflowClient, key: str, result: type[R], *, mark: bool = True, experiment_ids: Iterable[str] | None = None
) -> tuple[R, float] | None:
    """Reference to the newest whole artifact of a key, with the seconds that it took to make.

    It is looked for in the given experiments or in all. A damaged artifact is named in the log and, if `mark`, its run
    marked invalid, so that the stage runs again.
    """
    for run in search(client, f"tags.{STAGE_KEY} = '{key}' and attributes.status = 'FINISHED'", experiment_ids):
        if INVALID in run.data.tags or DIGEST not in run.data.tags:
            continue
        ref = result(run_id=run.info.run_id, uri=f"{run.info.artifact_uri}/{OUTPUT}", digest=run.data.tags[DIGEST])
        try:
            check_stored(client, ref)
        except ArtifactError as error:
            logger.error("%s; stage %s runs again", error, run.data.tags.get(STAGE))
            if mark:
                invalidate(client, ref.run_id, str(error))
            continue
        return ref, run_seconds(run)
    return None


def runs_below(client: MlflowClient, experiment_id: str, parent_run_id: str, condition: str = "") -> list[Run]:
    """The runs under a roadmap's, newest first; those that meet a further condition."""
    wanted = f"tags.`{PARENT}` = '{parent_run_id}'" + (f" and {condition}" if condition else "")
    return search(client, wanted, [experiment_id], limit=MOST_RUNS)


def read_runs(client: MlflowClient, run_ids: Iterable[str]) -> dict[str, Run]:
    """Those of these runs that active experiments have, deleted ones included, by id."""
    ids, experiments = list(run_ids), all_experiments(client)
    found: dict[str, Run] = {}
    for start in range(0, len(ids), MAX_IDS):
        listed = ", ".join(f"'{run_id}'" for run_id in ids[start : start + MAX_IDS])
        with tracked_errors("read runs"):
            runs = client.search_runs(experiments, f"attributes.run_id IN ({listed})", ViewType.ALL)
        found |= {run.info.run_id: run for run in runs}
    return found


def supersede(client: MlflowClient, key: str, by: str) -> None:
    """End the runs of a key that a killed process left open."""
    for run in open_runs(client, key):
        if run.info.run_id != by:
            give_way(client, run.info.run_id, by)


def give_way(client: MlflowClient, run_id: str, to: str) -> None:
    """End a run whose work another run has finished first."""
    set_tags(client, run_id, {SUPERSEDED_BY: to})
    end_run(client, run_id, "KILLED")


def close_lost(client: MlflowClient, runs: Iterable[Run], reason: str) -> None:
    """End runs whose process is known to be gone."""
    for run in runs:
        set_tags(client, run.info.run_id, {ERROR: reason, LOST: CLOSED_HERE})
        end_run(client, run.info.run_id, "KILLED")


def open_runs(client: MlflowClient, key: str) -> list[Run]:
    """The runs of a stage's key that nobody has ended."""
    return search(client, f"tags.{STAGE_KEY} = '{key}' and attributes.status = 'RUNNING'")


def invalidate(client: MlflowClient, run_id: str, reason: str) -> None:
    """Mark a run as unusable; the ledger passes over it from now on."""
    with tracked_errors(f"mark run {run_id} invalid"):
        client.set_tag(run_id, INVALID, reason[:MAX_VALUE])


def begin_run(client: MlflowClient, experiment_id: str, tags: Mapping[str, str], params: Mapping[str, Any]) -> str:
    """Open a run with tags and flattened params; returns its id.

    Where a server dies once it has made a run, MLflow's client asks again and gets another: the first is deleted.
    """
    with tracked_errors(f"begin the run {tags.get(RUN_NAME, '')}"):
        token = uuid4().hex
        run_id = str(client.create_run(experiment_id, tags=_fitting_tags({**tags, CREATION: token})).info.run_id)
        for run in search(client, f"tags.{CREATION} = '{token}'", [experiment_id]):
            if run.info.run_id != run_id:
                client.delete_run(run.info.run_id)
        log_params(client, run_id, params)
        return run_id


def log_params(client: MlflowClient, run_id: str, params: Mapping[str, Any]) -> None:
    """Log params; a value longer than MLflow takes is cut, and marked so."""
    entries = [Param(name, value) for name, value in as_params(params).items()]
    for start in range(0, len(entries), MAX_PARAMS):
        with tracked_errors(f"log params of run {run_id}"):
            client.log_batch(run_id, params=entries[start : start + MAX_PARAMS])


def as_params(params: Mapping[str, Any]) -> dict[str, str]:
    """Params as the store has them."""
    return {name: _fitting(str(value)) for name, value in params.items()}


def log_metrics(
    client: MlflowClient, run_id: str, metrics: Mapping[str, float], step: int = 0, at_ms: int | None = None
) -> None:
    """Log final metrics under their stable names; the store takes one value at one time (ms of the epoch) once."""
    at_ms = int(time.time() * 1000) if at_ms is None else at_ms
    entries = [Metric(name, float(value), at_ms, step) for name, value in metrics.items()]
    for start in range(0, len(entries), MAX_METRICS):
        with tracked_errors(f"log metrics of run {run_id}"):
            client.log_batch(run_id, metrics=entries[start : start + MAX_METRICS])


def set_tags(client: MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags of a run."""
    with tracked_errors(f"tag run {run_id}"):
        client.log_batch(run_id, tags=[RunTag(*tag) for tag in _fitting_tags(tags).items()])


def attempt_tags(failures: Sequence[str]) -> dict[str, str]:
    """Tags that say which attempt at a stage this is, and why those before it failed: one line of text each."""
    tags = {ATTEMPT: str(len(failures) + 1)}
    return tags | ({RETRIED_AFTER: "\n".join(failures)} if failures else {})


def earlier_failures(client: MlflowClient, run_id: str) -> tuple[str, ...]:
    """Why the attempts before a run failed."""
    with tracked_errors(f"read run {run_id}"):
        return tuple(client.get_run(run_id).data.tags.get(RETRIED_AFTER, "").splitlines())


def end_run(client: MlflowClient, run_id: str, status: str) -> None:
    """End a run as FINISHED, FAILED or KILLED."""
    with tracked_errors(f"end run {run_id} as {status}"):
        client.set_terminated(run_id, status)


def search(
    client: MlflowClient, condition: str, experiment_ids: Iterable[str] | None = None, limit: int = 100
) -> list[Run]:
    """Active runs that meet a condition, newest first, in the given experiments or in all."""
    with tracked_errors("search the ledger"):
        ids = list(experiment_ids) if experiment_ids is not None else all_experiments(client)
        return list(
            client.search_runs(
                ids, condition, ViewType.ACTIVE_ONLY, max_results=limit, order_by=["attributes.start_time DESC"]
            )
        )


def run_seconds(run: Run) -> float:
    """Seconds from a run's start to its end; 0 while it is open."""
    end = run.info.end_time
    return 0.0 if end is None else (end - run.info.start_time) / 1000


def all_experiments(client: MlflowClient) -> list[str]:
    """Ids of the active experiments."""
    ids: list[str] = []
    token = None
    while True:
        page = client.search_experiments(ViewType.ACTIVE_ONLY, page_token=token)
        ids += [experiment.experiment_id for experiment in page]
        token = page.token
        if not token:
            return ids


def _fitting_tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: value[: MAX_RUN_NAME if name == RUN_NAME else MAX_VALUE] for name, value in tags.items()}


def _fitting(value: str) -> str:
    mark = " ... (cut; config.yaml has it whole)"
    return value if len(value) <= MAX_VALUE else value[: MAX_VALUE - len(mark)] + mark
