"""First use by several processes at once, and one error for a store that cannot be used."""

import multiprocessing
import os
import signal
import time

import pytest

from polymlops.errors import TrackingError
from polymlops.tracking.addresses import artifact_folder, local_folder, tracking_uri
from polymlops.tracking.ledger import begin_run, search
from polymlops.tracking.store import locked, open_experiment, open_store


def _use(folder, number):
    uri = tracking_uri(None, folder)
    client = open_store(uri)
    experiment = open_experiment(client, "shared", artifact_folder(uri, folder))
    begin_run(client, experiment, {"number": str(number)}, {"number": number})


def test_processes_that_first_use_the_file_together(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_use, args=(tmp_path, number)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 4
    client = open_store(tracking_uri(None, tmp_path))
    assert {run.data.params["number"] for run in search(client, "")} == {"0", "1", "2", "3"}


def _hold(path, started):
    with locked(path):
        started.set()
        time.sleep(60)


def test_lock_is_freed_by_the_kernel(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    started = spawn.Event()
    holder = spawn.Process(target=_hold, args=(tmp_path / "a.lock", started))
    holder.start()
    assert started.wait(60)
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with locked(tmp_path / "a.lock"):
        assert holder.exitcode == -signal.SIGKILL


def test_unreachable_server_is_a_tracking_error(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError, match=r"cannot open the tracking store http://127\.0\.0\.1:9"):
        open_store("http://127.0.0.1:9")


def test_file_that_is_no_database_is_a_tracking_error(tmp_path):
    (tmp_path / "mlflow.db").write_text("not a database, but longer than one would think at first sight" * 100)
    with pytest.raises(TrackingError, match="cannot open the tracking store"):
        open_store(tracking_uri(None, tmp_path))


def test_deleted_experiment_is_named(book, tmp_path):
    book.client.delete_experiment(book.context.experiment_id)
    with pytest.raises(TrackingError, match="experiment test was deleted"):
        open_experiment(book.client, "test", tmp_path)


@pytest.mark.parametrize(
    ("uri", "folder"),
    [("file:///a/b%20c", "/a/b c"), ("/a/b", "/a/b"), ("mlflow-artifacts:/1/2", None), ("s3://bucket/a", None)],
)
def test_local_folder(uri, folder):
    found = local_folder(uri)
    assert (None if found is None else str(found)) == folder


def test_server_decides_where_its_artifacts_go(tmp_path):
    assert artifact_folder("http://127.0.0.1:5000", tmp_path) is None
    assert artifact_folder(tracking_uri(None, tmp_path), tmp_path) == tmp_path / "artifacts"
