"""A stop, a full disk, a dead tracking server: the command says which stage, and the next run goes on."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from ledgers import finished_runs, parent_runs, stage_runs
from processes import PROFILE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
CHANGE = ["--set", "polychromic.lambda=0.2", "--set", "arms=[polychromic]", "--set", "execution.retries=0"]
TRAINING = "train_adapter polychromic/42"


@pytest.fixture
def command(tmp_path, smoke):
    """A run that finds data and base model of the smoke run in its ledger, and has one arm to train."""

    def build(output_dir, *more):
        output_dir.mkdir(exist_ok=True)
        if not (output_dir / "mlflow.db").exists():
            shutil.copy(smoke.output_dir / "mlflow.db", output_dir)
            (output_dir / "prefect").mkdir()
            shutil.copy(smoke.output_dir / "prefect" / "prefect.db", output_dir / "prefect")  # seconds of migrations
        return ["run", PROFILE, "--set", "name=faults", "--set", f"output_dir={output_dir}", *CHANGE, *more]

    return build


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


def test_stop_then_full_disk_then_the_end(shell, small_disk, command):
    output_dir = small_disk / "out"
    stopped = shell.polymlops(*command(output_dir))
    stopped.wait_for(lambda: _has_checkpoint(output_dir))
    assert stopped.kill(signal.SIGTERM) == 130
    assert "stopped\nFinished stages are kept" in stopped.err
    assert stage_runs(output_dir)[-1][::2] == (TRAINING, "KILLED")
    assert parent_runs(output_dir)[-1][::2] == ("faults", "KILLED")

    full = shell.polymlops(*command(output_dir))
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
    assert len(finished_runs(output_dir)[TRAINING]) == 2  # the smoke run's and this one
    assert parent_runs(output_dir)[-1][::2] == ("faults", "FINISHED")


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


def test_dead_tracking_server_is_exit_1_with_the_stage_and_the_next_run_goes_on(shell, tmp_path, command, server):
    output_dir = tmp_path / "out"
    arguments = command(output_dir, "--set", f"tracking.uri={server.url}")
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
    killed = [title for title, _, status in stage_runs(server.folder) if status == "KILLED"]
    assert killed == [TRAINING]
    assert parent_runs(server.folder)[-1][::2] == ("faults", "FINISHED")
