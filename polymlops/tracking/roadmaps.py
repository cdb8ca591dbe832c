"""The parent run of a roadmap: found again after a kill, ended with its status, carrying all that explains it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml
from mlflow import MlflowClient
from mlflow.entities import DatasetInput

from polymlops.config.hashing import canonical, content_hash
from polymlops.config.schema import ExperimentConfig
from polymlops.errors import TrackingError
from polymlops.refs import DatasetRef, Reference
from polymlops.tracking import ledger
from polymlops.tracking.abandoned import held
from polymlops.tracking.addresses import artifact_folder, tracking_uri
from polymlops.tracking.budget import Budget, is_counted, spent_dollars
from polymlops.tracking.environment import hardware, package_versions, source_state
from polymlops.tracking.params import flatten
from polymlops.tracking.prices import Prices
from polymlops.tracking.stages import RunContext, dataset_input
from polymlops.tracking.store import is_locked, locked, open_experiment, open_store, tracked_errors

ATTEMPTS = "attempts"
STAGES = "stages"  # folder of a roadmap's run: one listing a phase
WITHOUT_RESULT = {"output_dir", "tracking", "execution"}
logger = logging.getLogger(__name__)


def roadmap_key(config: ExperimentConfig, source: str) -> str:
    """Equal for the same experiment by the same source, wherever and however it runs."""
    kept = {name: value for name, value in canonical(config).items() if name not in WITHOUT_RESULT}
    return content_hash(kept, source)


@contextmanager
def roadmap_run(config: ExperimentConfig, source: str, flow_run_id: str | None = None) -> Iterator[RunContext]:
    """Hold the parent run open around the phases: FINISHED, or FAILED after an error, or KILLED after a stop.

    A second one of the name in the same output folder waits for the first.

    Args:
        config: the whole experiment.
        source: fingerprint of everything that its stages use.
        flow_run_id: Prefect's, of the flow that does the phases.

    Raises:
        TrackingError: the store cannot be reached.
    """
    started = time.monotonic()
    output_dir = config.output_dir.resolve()
    uri = tracking_uri(config.tracking.uri, output_dir)
    client = open_store(uri)
    prices, limit = Prices.of(config.tracking), config.execution.budget_dollars
    with _alone_here(output_dir, config.name):
        experiment_id = open_experiment(client, config.name, artifact_folder(uri, output_dir))
        run_id, attempt = _open_parent(client, experiment_id, config, source)
        context = RunContext(
            tracking_uri=uri,
            experiment_id=experiment_id,
            parent_run_id=run_id,
            output_dir=output_dir,
            flow_run_id=flow_run_id,
            budget=Budget(dollars=limit, prices=prices) if limit is not None else None,
            workers=config.execution.workers,
        )
        with held(output_dir, run_id):
            try:
                if flow_run_id:
                    ledger.set_tags(client, run_id, {ledger.FLOW_RUN: flow_run_id})
                yield context
                _log_cost(client, context, prices, time.monotonic() - started, attempt)
                ledger.end_run(client, run_id, "FINISHED")
            except BaseException as error:
                _close(client, run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
                raise


@contextmanager
def _alone_here(output_dir: Path, name: str) -> Iterator[None]:
    lock = output_dir / "locks" / f"experiment-{name}.lock"
    if lock.exists() and is_locked(lock):
        logger.info("%s: waits for the run of that name that is under way in %s", name, output_dir)
    with locked(lock):
        yield


def _open_parent(client: MlflowClient, experiment_id: str, config: ExperimentConfig, source: str) -> tuple[str, int]:
    key = roadmap_key(config, source)
    found = ledger.search(client, f"tags.{ledger.ROADMAP_KEY} = '{key}'", [experiment_id], limit=1)
    if not found:
        return _begin_parent(client, experiment_id, config, key), 1
    run_id, tags = found[0].info.run_id, found[0].data.tags
    attempt = int(tags.get(ATTEMPTS, "1")) + 1
    with tracked_errors(f"reopen run {run_id}"):
        client.update_run(run_id, status="RUNNING")
        for tag in {ledger.ERROR, ledger.LOST} & tags.keys():  # of an earlier attempt
            client.delete_tag(run_id, tag)
    ledger.set_tags(client, run_id, {ATTEMPTS: str(attempt)})
    return run_id, attempt


def _begin_parent(client: MlflowClient, experiment_id: str, config: ExperimentConfig, key: str) -> str:
    state = source_state()
    tags = {
        ledger.RUN_NAME: config.name,
        ledger.ROADMAP_KEY: key,
        ATTEMPTS: "1",
        "mlflow.source.name": "polymlops",
        "seeds": ",".join(str(seed) for seed in config.seeds),
        **hardware(),
        **({"mlflow.source.git.commit": state.commit} if state.commit else {}),
        "git.dirty": "unknown" if state.commit is None else str(bool(state.diff)).lower(),
    }
    run_id = ledger.begin_run(client, experiment_id, tags, flatten(config))
    packages = "".join(f"{name}=={version}\n" for name, version in package_versions().items())
    with tracked_errors(f"describe run {run_id}"):
        client.log_text(run_id, yaml.safe_dump(canonical(config), sort_keys=False), "config.yaml")
        client.log_text(run_id, packages, "environment/packages.txt")
        if state.diff:
            client.log_text(run_id, state.diff, "environment/git_diff.patch")
    return run_id


def log_results(context: RunContext, phase: str, results: Mapping[str, Reference], dataset: DatasetRef) -> None:
    """Write on the parent run which stage results make up a phase, cached ones included, and the data behind them."""
    client = open_store(context.tracking_uri)
    listing = {label: ref.model_dump() for label, ref in results.items()}
    inputs: list[DatasetInput] = [dataset_input("dataset", dataset, "roadmap")]
    with tracked_errors(f"describe run {context.parent_run_id}"):
        client.log_dict(context.parent_run_id, listing, f"{STAGES}/{phase}.json")
        client.log_inputs(context.parent_run_id, inputs)


def spent_by(config: ExperimentConfig, client: MlflowClient, experiment_id: str, source: str) -> float:
    """Dollars that the roadmap of a config has cost in all its attempts; 0 before the first.

    Raises:
        TrackingError: the store cannot be reached.
    """
    found = ledger.search(
        client, f"tags.{ledger.ROADMAP_KEY} = '{roadmap_key(config, source)}'", [experiment_id], limit=1
    )
    return spent_dollars(client, experiment_id, found[0].info.run_id, Prices.of(config.tracking)) if found else 0.0


def _log_cost(client: MlflowClient, context: RunContext, prices: Prices, wall: float, attempt: int) -> None:
    runs = ledger.runs_below(client, context.experiment_id, context.parent_run_id)
    counted = [run for run in runs if is_counted(run)]
    metrics = {
        "roadmap/wall_seconds": wall,
        "roadmap/stage_seconds": sum(ledger.run_seconds(run) for run in counted),
        "roadmap/cost_dollars": sum(prices.of_run(run) for run in counted),
    }
    ledger.log_metrics(client, context.parent_run_id, metrics, step=attempt)


def _close(client: MlflowClient, run_id: str, status: str) -> None:
    try:
        ledger.end_run(client, run_id, status)
    except TrackingError as second:  # the first error is the one to show
        logger.warning("%s", second)
