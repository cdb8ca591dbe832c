"""The tracking store: where it is, its first use, and one error for everything that can go wrong with it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path

import requests
from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from polymlops.errors import TrackingError
from polymlops.tracking.addresses import database_file


@cache
def open_store(uri: str) -> MlflowClient:
    """Connect to the store, once in a process; the first of all to use a SQLite file makes its tables, the others wait.

    Raises:
        TrackingError: the store cannot be reached or has another schema.
    """
    file = database_file(uri)
    alone = nullcontext() if file is None else locked(file.with_name(f"{file.name}.lock"))
    with tracked_errors(f"open the tracking store {uri}"), alone:
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
        return client


def open_experiment(client: MlflowClient, name: str, artifacts: Path | None) -> str:
    """Id of the experiment of that name, made where there is none; its artifacts in a folder, or where the server says.

    Raises:
        TrackingError: the store cannot be reached, or the experiment was deleted.
    """
    with tracked_errors(f"open the experiment {name}"):
        found = client.get_experiment_by_name(name)
        if found is None:
            return _create_experiment(client, name, artifacts)
        _refuse_deleted(found)
        return str(found.experiment_id)


def _create_experiment(client: MlflowClient, name: str, artifacts: Path | None) -> str:
    location = None if artifacts is None else (artifacts / name).as_uri()
    try:
        return str(client.create_experiment(name, artifact_location=location))
    except MlflowException as error:
        found = client.get_experiment_by_name(name)
        if error.error_code == "RESOURCE_ALREADY_EXISTS" and found is not None:  # another process was faster
            return str(found.experiment_id)
        raise


def _refuse_deleted(experiment: Experiment) -> None:
    if experiment.lifecycle_stage != "active":
        raise TrackingError(
            f"experiment {experiment.name} was deleted: restore it with `mlflow experiments restore "
            f"--experiment-id {experiment.experiment_id}`, or use another name"
        )


@contextmanager
def tracked_errors(action: str) -> Iterator[None]:
    """Turn whatever the store raises into a TrackingError that says what was being done."""
    try:
        yield
    except (MlflowException, SQLAlchemyError, requests.RequestException) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise TrackingError(f"cannot {action}: {first}") from error


def is_locked(path: Path) -> bool:
    """True where a living process holds the lock."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock of this machine; the kernel frees it when the process dies, however it dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
