"""A roadmap read back from the tracking store: its config, the results of its phases, and the runs that made them."""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from pydantic import TypeAdapter, ValidationError

from polymlops.errors import InputError, TrackingError
from polymlops.refs import AnyRef
from polymlops.tracking import ledger
from polymlops.tracking.ledger import ROADMAP_KEY
from polymlops.tracking.prices import Prices
from polymlops.tracking.roadmaps import ATTEMPTS, STAGES
from polymlops.tracking.store import tracked_errors

RUN_ID = re.compile(r"[0-9a-f]{32}")
PHASES = ("core-results", "theoretical-depth", "generalization", "novel-metrics")
REFERENCES: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, AnyRef])


@dataclass(frozen=True, slots=True)
class MadeBy:
    """A run that a result comes from; `dollars` by the prices in the roadmap's config, judges included."""

    run_id: str
    title: str
    seconds: float
    dollars: float


@dataclass(frozen=True, slots=True)
class Roadmap:
    """One roadmap: `phases` has the references of each phase by their labels, in the order of the phases."""

    run_id: str
    name: str
    config: str
    phases: Mapping[str, Mapping[str, Any]]
    runs: tuple[MadeBy, ...]


def read_roadmap(client: MlflowClient, named: str) -> Roadmap:
    """The roadmap of a run (its own, or one of a stage or an arm below it), or the newest one of an experiment.

    Raises:
        InputError: there is no such run or experiment, or no roadmap in it.
        TrackingError: the store cannot be reached, or what it has cannot be read.
    """
    run = _roadmap_run(client, named)
    phases = listed_phases(client, run.info.run_id)
    prices = Prices.of_params(run.data.params)
    ids = dict.fromkeys(ref.run_id for listing in phases.values() for ref in listing.values())
    found = ledger.read_runs(client, [run.info.run_id, *ids])
    runs = tuple(_made_by(run_id, found.get(run_id), prices) for run_id in (run.info.run_id, *ids))
    config = _config(client, run.info.run_id)
    return Roadmap(run.info.run_id, run.info.run_name or named, config, phases, runs)


def listed_phases(client: MlflowClient, run_id: str) -> dict[str, dict[str, Any]]:
    """References of the stages that a roadmap's run is made of, by phase in their order; nothing for another run.

    Raises:
        TrackingError: the store cannot be reached, or a listing cannot be read.
    """
    found: dict[str, dict[str, Any]] = {}
    with tracked_errors(f"read the stages of run {run_id}"), tempfile.TemporaryDirectory() as temporary:
        paths = [Path(item.path) for item in client.list_artifacts(run_id, STAGES)]
        for path in sorted(paths, key=lambda path: (_place(path.stem), path.stem)):
            text = Path(client.download_artifacts(run_id, str(path), temporary)).read_text(encoding="utf-8")
            found[path.stem] = _references(text, f"{path} of run {run_id}")
    return found


def find_run(client: MlflowClient, run_id: str, remedy: str) -> Run:
    """A run of the store.

    Raises:
        InputError: there is none of that id; the message ends in the remedy.
        TrackingError: the store cannot be reached.
    """
    try:
        with tracked_errors(f"find run {run_id}"):
            return client.get_run(run_id)
    except TrackingError as error:
        if isinstance(error.__cause__, MlflowException) and error.__cause__.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise InputError(f"{run_id}: {remedy}") from None
        raise


def _roadmap_run(client: MlflowClient, named: str) -> Run:
    if not RUN_ID.fullmatch(named):
        return _newest(client, named)
    run = find_run(client, named, "no run of this tracking store; name its store with --set tracking.uri=URI")
    parent = run.data.tags.get(ledger.PARENT)
    if ROADMAP_KEY not in run.data.tags and parent is not None:
        run = find_run(client, parent, f"the roadmap of run {named} is gone from this tracking store")
    if ROADMAP_KEY not in run.data.tags:
        raise InputError(f"{named}: no roadmap's run; give one that `polymlops run` printed")
    return run


def _newest(client: MlflowClient, name: str) -> Run:
    with tracked_errors(f"find the experiment {name}"):
        experiment = client.get_experiment_by_name(name)
    if experiment is None:
        raise InputError(f"{name}: neither a run nor an experiment of this tracking store; run it first")
    # MLflow cannot ask whether a tag is there; every roadmap counts its attempts, and no stage does.
    found = ledger.search(client, f"tags.{ATTEMPTS} != ''", [experiment.experiment_id], limit=1)
    if not found:
        raise InputError(f"{name}: this experiment has no roadmap yet; run it first")
    return found[0]


def _config(client: MlflowClient, run_id: str) -> str:
    with tracked_errors(f"read the config of run {run_id}"), tempfile.TemporaryDirectory() as temporary:
        return Path(client.download_artifacts(run_id, "config.yaml", temporary)).read_text(encoding="utf-8")


def _made_by(run_id: str, run: Run | None, prices: Prices) -> MadeBy:
    if run is None:
        return MadeBy(run_id, "a run that is gone from the store", math.nan, math.nan)
    is_roadmap = ROADMAP_KEY in run.data.tags  # its time is that of its stages
    if is_roadmap or run.info.end_time is None:
        return MadeBy(run_id, run.info.run_name or run_id, math.nan, math.nan)
    return MadeBy(run_id, run.info.run_name or run_id, ledger.run_seconds(run), prices.of_run(run))


def _place(phase: str) -> int:
    return PHASES.index(phase) if phase in PHASES else len(PHASES)


def _references(text: str, name: str) -> dict[str, Any]:
    try:
        return REFERENCES.validate_python(json.loads(text))
    except (ValueError, ValidationError) as error:
        raise TrackingError(f"{name} cannot be read: {error}") from error
