"""A ledger on a fresh SQLite file, and a real stage of a few milliseconds."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from polymlops.config.schema import LoraConfig
from polymlops.config.section import Section
from polymlops.refs import ModelRef, Reference
from polymlops.tracking.addresses import artifact_folder, tracking_uri
from polymlops.tracking.ledger import begin_run
from polymlops.tracking.stage import Stage
from polymlops.tracking.stages import RunContext
from polymlops.tracking.store import open_experiment, open_store


@dataclass
class Book:
    """A run context with its client, and a count of how often the work was really done."""

    context: RunContext
    client: object
    calls: list[str] = field(default_factory=list)

    def stage(self, name: str = "train", spec: Section | None = None, inputs: dict[str, Reference] | None = None):
        """A stage that writes its config and inputs to two files."""

        def work(folders, job):
            self.calls.append(name)
            (job.output / "weights").mkdir()
            (job.output / "weights" / "a.bin").write_bytes(b"a" * 1000)
            texts = {role: (folder / "spec.json").read_text() for role, folder in folders.items()}
            (job.output / "spec.json").write_text(json.dumps([stage.spec.model_dump(mode="json"), texts]))
            job.log({"train/loss": 0.5}, 1)
            return {"final/loss": 0.25}

        stage = Stage(name, spec or LoraConfig(), ModelRef, work, inputs or {})
        return stage

    def run(self, run_id: str):
        """The MLflow run of an id."""
        return self.client.get_run(run_id)

    def stored(self, ref: Reference) -> Path:
        """Where a run's artifacts lie."""
        return Path(self.run(ref.run_id).info.artifact_uri.removeprefix("file://"))


@pytest.fixture(scope="session")
def migrated(tmp_path_factory) -> Path:
    """A SQLite file with MLflow's tables; making them takes seconds, copying them nothing."""
    folder = tmp_path_factory.mktemp("migrated")
    open_store(tracking_uri(None, folder))
    return folder / "mlflow.db"


@pytest.fixture
def book(tmp_path, migrated) -> Book:
    (tmp_path / "mlflow.db").write_bytes(migrated.read_bytes())
    uri = tracking_uri(None, tmp_path)
    client = open_store(uri)
    experiment = open_experiment(client, "test", artifact_folder(uri, tmp_path))
    parent = begin_run(client, experiment, {"mlflow.runName": "roadmap"}, {})
    context = RunContext(tracking_uri=uri, experiment_id=experiment, parent_run_id=parent, output_dir=tmp_path)
    return Book(context, client)
