"""Commands as real processes, each in a folder of its own, ended by pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROFILE = "smoke"
FREE_OF_USER = ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILE", "MLFLOW_TRACKING_URI")
STEP_TIMEOUT_S = 600  # minutes, where other work shares the cores


def clean_environment(**extra: str) -> dict[str, str]:
    """The environment without the user's servers, with this checkout importable from any folder."""
    kept = {name: value for name, value in os.environ.items() if name not in FREE_OF_USER}
    return kept | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"} | extra


@dataclass
class Started:
    """A command under way; its output goes to files, so that no pipe can fill."""

    process: subprocess.Popen[bytes]
    folder: Path

    def wait(self, timeout: float = STEP_TIMEOUT_S) -> int:
        """Exit code."""
        return self.process.wait(timeout)

    @property
    def children(self) -> list[int]:
        """Pids of the processes that it started."""
        return _children(self.process.pid)

    def kill_all(self) -> None:
        """SIGKILL for it and for all that it started, as where a machine ends."""
        for pid in [self.process.pid, *_below(self.process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.wait()

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send a signal and wait; gives the exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait_for(self, condition: Callable[[], object], timeout: float = STEP_TIMEOUT_S) -> None:
        """Wait until a condition holds while the command is still running."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.err}"
            assert time.monotonic() < deadline, f"nothing after {timeout} s:\n{self.err}"
            time.sleep(0.01)

    @property
    def out(self) -> str:
        """Stdout so far."""
        return (self.folder / "out").read_text()

    @property
    def err(self) -> str:
        """Stderr so far."""
        return (self.folder / "err").read_text()


@dataclass
class Shell:
    """Starts commands in a folder of their own and ends, by pid, what is left of them."""

    folder: Path
    started: list[Started] = field(default_factory=list)

    def start(self, *command: str, **environment: str) -> Started:
        """Start a command."""
        folder = self.folder / f"command-{len(self.started)}"
        folder.mkdir(parents=True)
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=clean_environment(**environment),
            )
        self.started.append(Started(process, folder))
        return self.started[-1]

    def polymlops(self, *arguments: str, **environment: str) -> Started:
        """Start the command line."""
        return self.start(sys.executable, "-m", "flows.cli", *arguments, **environment)

    def run(self, *arguments: str, **environment: str) -> tuple[int, Started]:
        """Run the command line to its end."""
        started = self.polymlops(*arguments, **environment)
        return started.wait(), started

    def close(self) -> None:
        """End what still runs, servers after what talks to them."""
        for started in reversed(self.started):
            if started.process.poll() is None:
                started.kill(signal.SIGTERM)


def _children(pid: int) -> list[int]:
    command = ["ps", "-o", "pid=", "--ppid", str(pid)]
    return [int(child) for child in subprocess.run(command, capture_output=True, check=False).stdout.split()]


def _below(pid: int) -> list[int]:
    return [below for child in _children(pid) for below in (child, *_below(child))]


def are_gone(pids: list[int], timeout: float = 30) -> bool:
    """Whether processes that nobody waits for end by themselves in time."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if subprocess.run(["ps", "-p", ",".join(map(str, pids))], capture_output=True, check=False).returncode:
            return True
        time.sleep(0.1)
    return False


@dataclass
class SmokeRun:
    """A finished smoke run."""

    output_dir: Path
    printed: str
    seconds: float
