"""The versions of a registered model that one registration may own, in an order that survives a kill at any point.

    logged model, pending -> its files -> ready -> version, with its tags -> tag `complete` -> alias

A rerun keeps what is whole and takes the next step; what is not whole (pending, or its files are damaged) it deletes.
An alias is only ever given to a version with the tag.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from polymlops.errors import ArtifactError
from polymlops.tracking.addresses import local_folder
from polymlops.tracking.manifest import MANIFEST, find_fault, parse_manifest
from polymlops.tracking.store import tracked_errors

KEY, COMPLETE, MODEL_ID = "registration_key", "complete", "logged_model_id"
YES = "true"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shelf:
    """A registered model's name, and the key by which a registration knows what is its own."""

    client: MlflowClient
    experiment_id: str
    name: str
    key: str

    def settled(self) -> ModelVersion | None:
        """The one version of the key, as old as can be; damaged ones and duplicates are deleted."""
        kept: ModelVersion | None = None
        for version in self._versions():
            fault = self._fault(version)
            if kept is None and fault is None:
                kept = version
                continue
            logger.error("%s version %s is deleted: %s", self.name, version.version, fault or "it is there twice")
            with tracked_errors(f"delete version {version.version} of {self.name}"):
                self.client.delete_model_version(self.name, str(version.version))
        return kept

    def ready_model(self) -> LoggedModel | None:
        """A whole logged model of the key; what an interrupted attempt left of others is deleted."""
        kept: LoggedModel | None = None
        with tracked_errors(f"search the logged models of {self.name}"):
            found = self.client.search_logged_models([self.experiment_id], f"tags.{KEY} = '{self.key}'")
        for model in found:
            if kept is None and _model_fault(model) is None:
                kept = model
                continue
            with tracked_errors(f"delete the logged model {model.model_id}"):
                self.client.delete_logged_model(model.model_id)
        return kept

    def store_model(self, folder: Path, run_id: str) -> LoggedModel:
        """Upload a model's folder; it is ready once all of it is there."""
        with tracked_errors(f"log the model of {self.name}"):
            model = self.client.create_logged_model(
                self.experiment_id, name=self.name, source_run_id=run_id, tags={KEY: self.key}
            )
            self.client.log_model_artifacts(model.model_id, str(folder))
            return self.client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)

    def add_version(self, model: LoggedModel, tags: Mapping[str, str]) -> None:
        """Register a logged model under the name, which is made where there is none."""
        with tracked_errors(f"register {self.name}"):
            self._make_name()
            self.client.create_model_version(
                self.name,
                # `models:/<id>` would be looked up in the process's default store.
                model.artifact_location,
                run_id=model.source_run_id,
                tags={**tags, KEY: self.key, MODEL_ID: model.model_id},
                model_id=model.model_id,
            )

    def complete(self, version: ModelVersion) -> None:
        """Say that the version may be served."""
        if version.tags.get(COMPLETE) != YES:
            with tracked_errors(f"complete version {version.version} of {self.name}"):
                self.client.set_model_version_tag(self.name, str(version.version), COMPLETE, YES)

    def _make_name(self) -> None:
        try:
            self.client.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _versions(self) -> list[ModelVersion]:
        with tracked_errors(f"search the versions of {self.name}"):
            found = self.client.search_model_versions(f"name = '{self.name}' and tags.{KEY} = '{self.key}'")
        return sorted(found, key=lambda version: int(version.version))

    def _fault(self, version: ModelVersion) -> str | None:
        """What is wrong with the model behind a version."""
        with tracked_errors(f"look at version {version.version} of {self.name}"):
            try:
                return _model_fault(self.client.get_logged_model(version.tags.get(MODEL_ID, "none")))
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                return "its logged model was deleted"


def _model_fault(model: LoggedModel) -> str | None:
    """First thing that is wrong with a logged model; in a store elsewhere, ready means that it was uploaded whole."""
    if model.status != LoggedModelStatus.READY:
        return "its logged model is not ready"
    folder = local_folder(model.artifact_location)
    if folder is None:
        return None
    try:
        return find_fault(folder, parse_manifest((folder / MANIFEST).read_text(encoding="utf-8")))
    except (ArtifactError, OSError) as error:
        return str(error)
