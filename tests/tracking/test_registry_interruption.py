"""A registration that stops at any point, by an error or by SIGKILL, leaves nothing half done, and a rerun ends it."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from registry_parts import BETTER, aliases, decide, make_candidate, versions

from polymlops.errors import TrackingError
from polymlops.tracking import registry
from polymlops.tracking.addresses import local_folder
from polymlops.tracking.manifest import MANIFEST, find_fault, parse_manifest
from polymlops.tracking.registry import register_adapter
from polymlops.tracking.registry_promotion import promote
from polymlops.tracking.store import open_store

WRITES = (
    "create_logged_model",
    "log_model_artifacts",
    "finalize_logged_model",
    "create_registered_model",
    "create_model_version",
    "set_model_version_tag",
    "set_registered_model_alias",
)


@pytest.fixture
def candidate(book, small_base, tmp_path):
    return make_candidate(book, small_base, tmp_path)


def check_nothing_half(client, experiment_id: str, name: str) -> None:
    """Every version is whole from the start, and every alias names a complete one."""
    ready = {
        model.model_id: local_folder(model.artifact_location)
        for model in client.search_logged_models([experiment_id])
        if str(model.status) == "READY"
    }
    found = versions(client, name)
    for tags in found.values():
        folder = ready[tags["logged_model_id"]]
        assert find_fault(folder, parse_manifest((folder / MANIFEST).read_text())) is None
    assert all(found[number].get("complete") == "true" for number in aliases(client, name).values())


def check_done(client, experiment_id: str, name: str, key: str) -> None:
    """One version, complete, the candidate, with one logged model."""
    check_nothing_half(client, experiment_id, name)
    found = versions(client, name)
    assert len(found) == 1
    assert aliases(client, name) == {"candidate": next(iter(found))}
    assert len(client.search_logged_models([experiment_id], f"tags.registration_key = '{key}'")) == 1


class Failing:
    """A client whose n-th call, of any kind, fails before or after it has been carried out."""

    def __init__(self, client: MlflowClient, fail_at: int, after: bool) -> None:
        self.client, self.fail_at, self.after, self.calls = client, fail_at, after, 0

    def __getattr__(self, name):
        method = getattr(self.client, name)

        def call(*args, **kwargs):
            self.calls += 1
            if self.calls != self.fail_at:
                return method(*args, **kwargs)
            if self.after:
                method(*args, **kwargs)
            raise MlflowException(f"the store broke off at {name}")

        return call


def breaks_off(work) -> bool:
    """True where the client failed as it was told to."""
    try:
        work()
    except TrackingError as error:
        if "the store broke off" not in str(error):
            raise
        return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_error_at_any_call_leaves_nothing_half(book, candidate, monkeypatch, after):
    experiment = book.context.experiment_id
    for fail_at in range(1, 50):
        own = replace(candidate, profile=f"fault-{fail_at}")
        client = Failing(open_store(book.context.tracking_uri), fail_at, after)
        with monkeypatch.context() as patch:
            patch.setattr(registry, "open_store", lambda uri, client=client: client)
            if not breaks_off(lambda own=own: register_adapter(book.context, own)):
                break
        check_nothing_half(book.client, experiment, own.name)
        assert register_adapter(book.context, own).aliases == ("candidate",)
        check_done(book.client, experiment, own.name, key_of(book.client, own.name))
    assert client.calls < fail_at  # every call has had its turn
    assert fail_at > len(WRITES)


def test_an_error_at_any_call_of_a_promotion_is_repaired_by_a_rerun(book, candidate):
    version = register_adapter(book.context, candidate)
    for fail_at in range(1, 50):
        client = Failing(book.client, fail_at, after=False)
        if not breaks_off(lambda client=client: promote(client, version, decide(BETTER))):
            break
        if "champion" in aliases(book.client, version.name):  # only what reads it back can have failed
            assert decide(BETTER).tags().items() <= versions(book.client, version.name)[1].items()
        assert "champion" in promote(book.client, version, decide(BETTER)).aliases
        book.client.delete_registered_model_alias(version.name, "champion")
        for tag in decide(BETTER).tags():
            book.client.delete_model_version_tag(version.name, "1", tag)
    assert client.calls < fail_at
    assert fail_at > len(decide(BETTER).tags())


def key_of(client, name: str) -> str:
    return next(iter(versions(client, name).values()))["registration_key"]


class Fatal(MlflowClient):
    """A client whose process is killed when a named call begins; an upload is killed in the middle."""

    fatal = ""

    def __getattribute__(self, name):
        if name == object.__getattribute__(self, "fatal"):
            return object.__getattribute__(self, "die")
        return object.__getattribute__(self, name)

    def die(self, *args, **_):
        if len(args) > 1 and isinstance(args[1], str) and Path(args[1]).is_dir():
            part = Path(args[1]).with_name("half")
            shutil.copytree(args[1], part, ignore=shutil.ignore_patterns("artifacts"))
            MlflowClient.log_model_artifacts(self, args[0], str(part))
        os.kill(os.getpid(), signal.SIGKILL)


def register_and_die(context, candidate, fatal):
    """The work of a child process; `end` kills it after everything was done, before it could say so."""

    def fatal_client(uri):
        client = Fatal(tracking_uri=uri, registry_uri=uri)
        client.fatal = fatal
        return client

    registry.open_store = fatal_client
    register_adapter(context, candidate)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def children():
    """Processes forked from one that has imported everything and opened nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["polymlops.tracking.registry", "peft", "sentence_transformers"])
    return context


@pytest.mark.slow
@pytest.mark.parametrize("fatal", [*WRITES, "end"])
def test_a_kill_at_any_step_leaves_nothing_half(book, candidate, children, fatal):
    experiment, name = book.context.experiment_id, candidate.name
    child = children.Process(target=register_and_die, args=(book.context, candidate, fatal))
    child.start()
    child.join(240)
    assert child.exitcode == -signal.SIGKILL
    check_nothing_half(book.client, experiment, name)
    reached = {"set_model_version_tag": 1, "set_registered_model_alias": 1, "end": 1}
    assert len(versions(book.client, name)) == reached.get(fatal, 0)

    found = register_adapter(book.context, candidate)

    check_done(book.client, experiment, name, key_of(book.client, name))
    assert register_adapter(book.context, candidate) == found
    assert list((book.context.output_dir / "work").glob("register-*")) == []
