"""A stop, a full disk, a tracking server that is away: the command says which stage, and nothing is lost or doubled."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from functools import partial

import pytest
from books import faults, local_book
from short import NAME, SAMPLING, TRAINING

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
STOP_S = 120.0  # promised within 30, on a machine that is not overloaded
AWAY_S = 10.0  # tests/faults/soak.py waits for 60


def _has_checkpoint(output_dir):
    return any(output_dir.glob("work/*/scratch/checkpoints/*/COMPLETE"))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own with little room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(path):
    """Take all the room that is left."""
    with path.open("wb", buffering=0) as file:
        for size in (2**20, 2**12, 2**6, 1):
            try:
                while True:
                    file.write(b"0" * size)
            except OSError:
                continue


def _has_shard(output_dir):
    return any(output_dir.glob("work/*/scratch/shard-*.parquet"))


def _stop(started, title, is_time):
    """SIGTERM in the middle of a stage."""
    started.wait_for(lambda: f"{title}: begins" in started.err and is_time())
    began = time.monotonic()
    assert started.kill(signal.SIGTERM) == 130
    assert time.monotonic() - began < STOP_S
    assert "stopped\nFinished stages are kept" in started.err


@pytest.mark.long
def test_sigterm_is_a_clean_stop_and_the_next_run_goes_on(shell, tmp_path, command, undisturbed):
    output_dir = tmp_path / "out"
    book = local_book(output_dir, NAME)
    for title, is_time in ((TRAINING, _has_checkpoint), (SAMPLING, _has_shard)):
        _stop(shell.polymlops(*command(output_dir)), title, partial(is_time, output_dir))
        assert [run.status for run in book.runs() if run.name in {title, NAME}] == ["KILLED", "KILLED"]
    code, done = shell.run(*command(output_dir))
    assert code == 0, done.err
    assert faults(book, undisturbed) == []


@pytest.mark.long
def test_full_disk_then_the_end(shell, small_disk, command):
    output_dir = small_disk / "out"
    full = shell.polymlops(*command(output_dir, "--set", "execution.retries=0"))
    full.wait_for(lambda: f"{TRAINING}: begins" in full.err)
    _fill(small_disk / "filler")
    assert full.wait() == 1
    assert f"error: stage {TRAINING}: " in full.err
    assert "the same command goes on from there" in full.err

    code, still_full = shell.run(*command(output_dir))
    assert code == 1
    assert "No space left on device" in still_full.err

    (small_disk / "filler").unlink()
    code, done = shell.run(*command(output_dir))
    assert code == 0, done.err
    assert "build_base_model: cached" in done.err
    assert [run.status for run in local_book(output_dir, NAME).runs() if run.name == NAME] == ["FINISHED"]


class Server:
    """A real MLflow server on loopback, that can be killed and started again on its port."""

    def __init__(self, folder, shell):
        self.folder, self.shell = folder, shell
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self):
        where = ["--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}"]
        where += [
            "--artifacts-destination",
            str(self.folder / "served"),
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
        ]
        self.started = self.shell.start(
            *(sys.executable, "-m", "mlflow", "server", "--workers", "1", *where),
            MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
        )
        self.started.wait_for(self._answers)

    def _answers(self):
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                return True
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def kill(self):
        """Kill it and the worker that it started."""
        for pid in [*self.started.children, self.started.process.pid]:
            os.kill(pid, signal.SIGKILL)
        self.started.wait()


@pytest.fixture
def server(tmp_path, shell, smoke):
    folder = tmp_path / "server"
    folder.mkdir()
    shutil.copy(smoke.output_dir / "mlflow.db", folder)
    server = Server(folder, shell)
    server.start()
    yield server
    server.kill()


def _served(server):
    return replace(local_book(server.folder, NAME), artifacts=server.folder / "served")


@pytest.mark.long
def test_server_that_comes_back_is_waited_for(shell, tmp_path, command, server, undisturbed):
    output_dir = tmp_path / "out"
    started = shell.polymlops(*command(output_dir, "--set", f"tracking.uri={server.url}"))
    started.wait_for(lambda: _has_checkpoint(output_dir))
    server.kill()
    time.sleep(AWAY_S)
    server.start()
    assert started.wait() == 0, started.err
    assert faults(_served(server), undisturbed) == []


@pytest.mark.long
def test_server_that_stays_away_is_exit_1_with_the_stage_and_the_next_run_goes_on(shell, tmp_path, command, server):
    output_dir = tmp_path / "out"
    arguments = command(output_dir, "--set", f"tracking.uri={server.url}", "--set", "execution.retries=0")
    impatient = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
    started = shell.polymlops(*arguments, **impatient)
    started.wait_for(lambda: _has_checkpoint(output_dir))
    server.kill()
    assert started.wait() == 1
    assert f"error: stage {TRAINING}: cannot " in started.err
    assert server.url.removeprefix("http://").split(":")[0] in started.err
    assert "the same command goes on from there" in started.err
    server.start()
    code, done = shell.run(*arguments, **impatient)
    assert code == 0, done.err
    assert "build_base_model: cached" in done.err
    runs = [(run.name, run.status) for run in _served(server).runs() if run.name in {NAME, TRAINING}]
    assert runs == [(NAME, "FINISHED"), (TRAINING, "KILLED"), (TRAINING, "FINISHED")]
