"""From what a person calls a model to the folders that hold it.

    FOLDER                               a model, an adapter, a reward model, or what the registry gave
    owner/name, owner/name@COMMIT        a model on the Hub
    runs:/RUN_ID, runs:/RUN_ID/PATH      what a run left: a stage's output, or any artifact
    models:/NAME/3, models:/NAME@ALIAS   a version in the registry: adapter, base and reward model together

An adapter that a stage trained brings its base along: its run says which one it was given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from polymlops.errors import ArtifactError, InputError, TrackingError
from polymlops.models.hub import snapshot
from polymlops.refs import Reference
from polymlops.tracking import ledger
from polymlops.tracking.addresses import database_file, local_folder
from polymlops.tracking.artifacts import OUTPUT, materialise
from polymlops.tracking.manifest import MANIFEST, find_fault, parse_manifest
from polymlops.tracking.ranked_replies import HubBase
from polymlops.tracking.store import open_store, tracked_errors

RUN = re.compile(r"runs:/([0-9a-f]{32})(?:/(.+))?")
VERSION = re.compile(r"models:/([^/@]+)(?:/([0-9]+)|@([^/@]+))")
HUB = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w.-]+))?")
FORMS = "a folder, owner/name[@commit], runs:/RUN_ID[/PATH], models:/NAME/VERSION or models:/NAME@ALIAS"
ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
PACKAGE, REWARD = "MLmodel", "reward_model.json"
BASE_INPUT = "input.base"


@dataclass(frozen=True, slots=True)
class NamedModel:
    """What a name stands for now; folders that are not part of it are none. `hub` says where a base came from."""

    name: str
    base: Path | None = None
    adapter: Path | None = None
    reward: Path | None = None
    hub: HubBase | None = None


@dataclass(frozen=True, slots=True)
class ModelStore:
    """The tracking store that `runs:/` and `models:/` are looked up in, and where what is fetched is kept."""

    uri: str
    cache: Path

    def client(self, name: str) -> MlflowClient:
        """Open it for a name. Raises: InputError where there is none, TrackingError where it cannot be reached."""
        file = database_file(self.uri)
        if file is not None and not file.is_file():
            raise InputError(f"{name}: no tracking store at {file}: --set output_dir=PATH or tracking.uri=ADDRESS")
        return open_store(self.uri)

    @contextmanager
    def looking_for(self, name: str) -> Iterator[None]:
        """Turn the store's "there is none" into an InputError about a name."""
        try:
            with tracked_errors(f"look for {name}"):
                yield
        except TrackingError as error:
            cause = error.__cause__
            if isinstance(cause, MlflowException) and cause.error_code in ABSENT:
                where = "--set output_dir=PATH or tracking.uri=ADDRESS names another store"
                raise InputError(f"{name}: {self.uri} has none ({cause.message}): {where}") from error
            raise


def find_model(name: str, store: ModelStore) -> NamedModel:
    """The folders behind a name, fetched where they lie elsewhere.

    Raises:
        InputError: the name is none, or nothing is there.
        ArtifactError: what is there is damaged, or the Hub cannot be reached.
        TrackingError: the store cannot be reached.
    """
    if Path(name).is_dir():
        return _in_folder(name, Path(name))
    run, version, hub = RUN.fullmatch(name), VERSION.fullmatch(name), HUB.fullmatch(name)
    if run:
        return _of_run(name, run[1], run[2] or OUTPUT, store)
    if version:
        return _of_version(name, version, store)
    if hub:
        folder = snapshot(hub[1], hub[2] or "main")
        return NamedModel(f"{hub[1]}@{folder.name}", folder, hub=HubBase(model_id=hub[1], revision=folder.name))
    raise InputError(f"{name}: no such folder, and no name of a model: give {FORMS}")


def whole_model(name: str, adapter: str | None, store: ModelStore) -> NamedModel:
    """A base with or without an adapter, named together or each by itself; raises as `find_model`."""
    found = find_model(name, store)
    if adapter is not None:
        if found.adapter is not None:
            raise InputError(f"{name}: has an adapter already: leave --adapter out, or name the base alone")
        other = find_model(adapter, store)
        if other.adapter is None:
            raise InputError(f"{adapter}: no adapter here (adapter_config.json is missing)")
        found = replace(found, adapter=other.adapter, name=f"{found.name} with {other.name}")
    if found.base is None and found.adapter is not None:
        raise InputError(f"{name}: an adapter, of which no base is known: give --model BASE --adapter {name}")
    if found.base is None:
        raise InputError(f"{name}: a reward model, which writes nothing: give the model that it judges")
    return found


def find_reward(name: str, store: ModelStore) -> Path:
    """The folder of a reward model, or of the one that a registered model ranks by; raises as `find_model`."""
    reward = find_model(name, store).reward
    if reward is None:
        raise InputError(f"{name}: no reward model here ({REWARD} is missing): `polymlops reward FILE` trains one")
    return reward


def _in_folder(name: str, folder: Path) -> NamedModel:
    if (folder / PACKAGE).is_file():
        return _in_package(name, folder)
    if (folder / REWARD).is_file():
        return NamedModel(name, reward=folder)
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        return NamedModel(name, adapter=folder)
    return NamedModel(name, base=folder)


def _in_package(name: str, folder: Path) -> NamedModel:
    """A registered model as `registry_package` writes it."""
    about: Any = yaml.safe_load((folder / PACKAGE).read_text(encoding="utf-8"))
    flavor = about.get("flavors", {}).get("python_function", {})
    parts = {role: folder / entry["path"] for role, entry in flavor.get("artifacts", {}).items()}
    hub = (flavor.get("config") or {}).get("base")
    if "adapter" not in parts or ("base" not in parts and hub is None):
        raise InputError(f"{name}: an MLflow model that was not registered from here: give the folder of its weights")
    place = HubBase.model_validate(hub) if hub else None
    base = snapshot(place.model_id, place.revision) if place else parts["base"]
    return NamedModel(name, base, parts["adapter"], parts.get("reward"), place)


def _of_run(name: str, run_id: str, path: str, store: ModelStore) -> NamedModel:
    client = store.client(name)
    with store.looking_for(name):
        run = client.get_run(run_id)
    folder = _artifact(name, client, run, path, store)
    found = _in_folder(name, folder)
    base = run.data.tags.get(BASE_INPUT)
    if found.adapter is None or base is None:
        return found
    with store.looking_for(f"{name}, its base"):
        made_by = client.get_run(base.split()[0])
    return replace(found, base=_artifact(f"{name}, its base", client, made_by, OUTPUT, store))


def _artifact(name: str, client: MlflowClient, run: Run, path: str, store: ModelStore) -> Path:
    """A stage's output, verified by its digest, or any other folder of a run as it is."""
    digest = run.data.tags.get(ledger.DIGEST)
    if path == OUTPUT and digest is not None:
        uri = f"{run.info.artifact_uri}/{OUTPUT}"
        return materialise(client, Reference(run_id=run.info.run_id, uri=uri, digest=digest), store.cache)
    target = store.cache / "runs" / run.info.run_id
    target.mkdir(parents=True, exist_ok=True)
    with store.looking_for(name):
        there = {item.path for item in client.list_artifacts(run.info.run_id, str(Path(path).parent).strip("."))}
        if path not in there:
            found = ", ".join(sorted(there)) or "nothing"
            raise InputError(f"{name}: run {run.info.run_id} has no {path} ({found} beside it)")
        folder = Path(client.download_artifacts(run.info.run_id, path, str(target)))
    if not folder.is_dir():
        raise InputError(f"{name}: a file, not a folder with a model")
    return folder


def _of_version(name: str, asked: re.Match[str], store: ModelStore) -> NamedModel:
    client = store.client(name)
    model, number, alias = asked.groups()
    with store.looking_for(name):
        version = client.get_model_version(model, number) if number else client.get_model_version_by_alias(model, alias)
    named = f"models:/{model}/{version.version}"
    folder = local_folder(str(version.source)) or _downloaded(named, str(version.source), store)
    if not (folder / PACKAGE).is_file():
        raise ArtifactError(f"{named}: its files are gone from {version.source}: register it again")
    if (folder / MANIFEST).is_file():
        fault = find_fault(folder, parse_manifest((folder / MANIFEST).read_text(encoding="utf-8")))
        if fault:
            raise ArtifactError(f"{named}: {fault}: register it again")
    return _in_package(named, folder)


def _downloaded(name: str, source: str, store: ModelStore) -> Path:
    from mlflow.artifacts import download_artifacts

    target = store.cache / "models" / name.removeprefix("models:/").replace("/", "-")
    target.mkdir(parents=True, exist_ok=True)
    with store.looking_for(name):
        return Path(download_artifacts(artifact_uri=source, dst_path=str(target), tracking_uri=store.uri))
