"""One stage, tracked: found in the ledger, or run, published and entered there."""

from __future__ import annotations

import json
import logging
import shutil
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from polymlops.config.execution import WorkersConfig
from polymlops.errors import ArtifactError, PolymlopsError, StageError, TrackingError
from polymlops.records import Job, NoteLog, ProgressLog
from polymlops.refs import DatasetRef, Reference
from polymlops.tracking import ledger
from polymlops.tracking.abandoned import held
from polymlops.tracking.artifacts import adopt, check_stored, materialise, publish
from polymlops.tracking.budget import Budget, check_budget
from polymlops.tracking.manifest import Manifest
from polymlops.tracking.metric_log import MetricBuffer
from polymlops.tracking.params import flatten
from polymlops.tracking.stage import FIRST, Attempt, Outcome, R, Stage
from polymlops.tracking.store import locked, open_store, tracked_errors

logger = logging.getLogger(__name__)


class RunContext(BaseModel):
    """Where a stage is tracked and works: all that a process, here or elsewhere, needs besides the stage itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tracking_uri: str
    experiment_id: str
    parent_run_id: str = Field(description="MLflow run of the roadmap")
    output_dir: Path = Field(description="absolute; local to the machine")
    flow_run_id: str | None = Field(None, description="Prefect's flow run that does the stages")
    budget: Budget | None = Field(None, description="of the roadmap; where it is none, nobody looks")
    workers: WorkersConfig = Field(WorkersConfig(), description="who does the shards of its stages")
    _finished: dict[str, tuple[Reference, float]] = PrivateAttr(default_factory=dict)  # by key: seen in this process

    @property
    def cache(self) -> Path:
        """Verified copies of artifacts, by digest."""
        return self.output_dir / "cache"

    @property
    def seen(self) -> Mapping[str, tuple[Reference, float]]:
        """What this process has found or made so far, by key, with the seconds that it took to make."""
        return self._finished

    def remember(self, finished: Mapping[str, tuple[Reference, float] | None]) -> None:
        """Take over what somebody found in the ledger, by key: the artifacts are looked at again, the runs are not."""
        self._finished.update({key: found for key, found in finished.items() if found is not None})

    def forget(self, ref: Reference) -> None:
        """Search for a result again: what was seen of it has proved damaged."""
        for key in [key for key, (seen, _) in self._finished.items() if seen.run_id == ref.run_id]:
            del self._finished[key]

    def run(self, stage: Stage[R], attempt: Attempt = FIRST) -> Outcome[R]:
        """Return the stage's artifact from the ledger, or make it. One process of a machine at a time does a stage.

        Raises:
            PolymlopsError: the stage failed; a note on the error names it.
        """
        with _named(stage):
            client = open_store(self.tracking_uri)
            key = stage.key()
            with locked(self.output_dir / "locks" / f"{key}.lock"):
                found = self._look_up(client, stage, key)
                if found is not None:
                    logger.info("%s: cached", stage.title)
                    shutil.rmtree(self.output_dir / "work" / key, ignore_errors=True)  # of one killed after its end
                    return found
                check_budget(client, self, stage)
                logger.info("%s: begins", stage.title)
                outcome = _attempt(client, self, stage, key, attempt)
                logger.info("%s: done in %.1f s", stage.title, outcome.seconds)
                self.remember({key: (outcome.ref, outcome.seconds)})
                return outcome

    def find(self, stage: Stage[R]) -> Outcome[R] | None:
        """The stage's artifact where the ledger has it whole.

        Raises:
            PolymlopsError: the ledger cannot be read; a note on the error names the stage.
        """
        with _named(stage):
            return self._look_up(open_store(self.tracking_uri), stage, stage.key())

    def export(self, ref: Reference, name: str) -> Path:
        """Copy an artifact's files to `results/name` in the output folder, where a person finds them.

        Raises:
            ArtifactError: it is missing or damaged.
        """
        folder = self.output_dir / "results" / name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.fetch(ref), folder)
        return folder

    def fetch(self, ref: Reference) -> Path:
        """Folder of an artifact, brought into the cache; one that proves damaged is marked, so that it is made again.

        Raises:
            ArtifactError: it is missing or damaged.
        """
        return _fetch(open_store(self.tracking_uri), ref, self)

    def _look_up(self, client: MlflowClient, stage: Stage[R], key: str) -> Outcome[R] | None:
        found = self._remembered(client, stage, key) or ledger.find_finished(client, key, stage.result)
        self.remember({key: found})
        return None if found is None else Outcome(found[0], cached=True, seconds=found[1])

    def _remembered(self, client: MlflowClient, stage: Stage[R], key: str) -> tuple[R, float] | None:
        ref, seconds = self._finished.pop(key, (None, 0.0))
        if not isinstance(ref, stage.result):
            return None
        try:
            check_stored(client, ref)
        except ArtifactError:
            return None  # the ledger says what is wrong with it
        return ref, seconds


def _attempt(client: MlflowClient, context: RunContext, stage: Stage[R], key: str, attempt: Attempt) -> Outcome[R]:
    started = time.monotonic()
    folder = context.output_dir / "work" / key
    tags = _tags(context, stage, key) | ledger.attempt_tags(attempt.failures)
    run_id = ledger.begin_run(client, context.experiment_id, tags, flatten(stage.spec))
    with held(context.output_dir, run_id):
        try:
            ledger.supersede(client, key, by=run_id)
            uri, manifest = _work(client, context, stage, folder, run_id, attempt.progress)
            first = ledger.find_finished(client, key, stage.result)
            if first is not None:  # another machine was at it too
                ledger.give_way(client, run_id, first[0].run_id)
                return Outcome(first[0], cached=True, seconds=first[1])
            ledger.set_tags(client, run_id, {ledger.DIGEST: manifest.digest})
            ledger.end_run(client, run_id, "FINISHED")
        except BaseException as error:
            _close(client, run_id, error)
            raise
    adopt(folder / "output", manifest, context.cache)
    shutil.rmtree(folder, ignore_errors=True)
    ref = stage.result(run_id=run_id, uri=uri, digest=manifest.digest)
    return Outcome(ref, False, time.monotonic() - started, attempt.failures)


def _work(
    client: MlflowClient, context: RunContext, stage: Stage[R], folder: Path, run_id: str, progress: ProgressLog
) -> tuple[str, Manifest]:
    """Fetch the inputs, do the work and publish what it left: where it is, and its manifest."""
    _log_datasets(client, run_id, stage)
    given = {**stage.inputs, **stage.parts}
    paths = {role: _fetch(client, ref, context) for role, ref in given.items()}
    log = MetricBuffer(client, run_id)
    output, scratch = _emptied(folder / "output"), _made(folder / "scratch")
    job = Job(output, scratch, log, _tagger(client, run_id), progress)
    metrics = stage.work(paths, job)
    log.flush()
    ledger.log_metrics(client, run_id, metrics)
    return publish(client, run_id, job.output)


def _tagger(client: MlflowClient, run_id: str) -> NoteLog:
    return lambda name, text: ledger.set_tags(client, run_id, {f"{ledger.NOTE}.{name}": text})


def _tags(context: RunContext, stage: Stage[R], key: str) -> dict[str, str]:
    inputs = {f"input.{role}": f"{ref.run_id} {ref.digest}" for role, ref in {**stage.inputs, **stage.parts}.items()}
    return {
        ledger.PARENT: context.parent_run_id,
        ledger.RUN_NAME: stage.title,
        "mlflow.source.name": "polymlops",
        ledger.STAGE: stage.name,
        ledger.STAGE_KEY: key,
        **({ledger.FLOW_RUN: context.flow_run_id} if context.flow_run_id else {}),
        **stage.labels,
        **inputs,
    }


def _log_datasets(client: MlflowClient, run_id: str, stage: Stage[R]) -> None:
    entries = [
        dataset_input(role, ref, stage.name) for role, ref in stage.inputs.items() if isinstance(ref, DatasetRef)
    ]
    if entries:
        with tracked_errors(f"log the datasets of run {run_id}"):
            client.log_inputs(run_id, entries)


def dataset_input(name: str, ref: DatasetRef, context: str) -> DatasetInput:
    """MLflow's record of a dataset that a run read; MLflow keeps 36 characters of a digest."""
    source = json.dumps({"uri": ref.uri, "run_id": ref.run_id, "digest": ref.digest})
    dataset = Dataset(name=name, digest=ref.digest[:36], source_type="mlflow-artifact", source=source)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", context)])


def _fetch(client: MlflowClient, ref: Reference, context: RunContext) -> Path:
    try:
        return materialise(client, ref, context.cache)
    except ArtifactError as error:
        context.forget(ref)
        try:
            ledger.invalidate(client, ref.run_id, str(error))
        except TrackingError as second:  # a run that is not known cannot be marked; the first error is the one to show
            logger.warning("%s", second)
        raise


def _close(client: MlflowClient, run_id: str, error: BaseException) -> None:
    """End the run of a failed attempt; a store that is gone must not hide why it failed."""
    status = "FAILED" if isinstance(error, Exception) else "KILLED"
    try:
        ledger.set_tags(client, run_id, {ledger.ERROR: f"{type(error).__name__}: {error}"})
        ledger.end_run(client, run_id, status)
        with tracked_errors(f"describe run {run_id}"):
            client.log_text(run_id, "".join(traceback.format_exception(error)), "traceback.txt")
    except (TrackingError, OSError) as second:
        logger.warning("%s", second)


@contextmanager
def _named(stage: Stage[R]) -> Iterator[None]:
    try:
        yield
    except PolymlopsError as error:
        error.add_note(f"stage {stage.title}")
        raise
    except Exception as error:
        wrapped = StageError(f"{type(error).__name__}: {error}")
        wrapped.add_note(f"stage {stage.title}")
        raise wrapped from error


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return _made(folder)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
