"""The caller's end of one worker: start it, hand it a program, read what became of it."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from polymlops.config.sandbox import SandboxLimits
from polymlops.errors import StageError
from polymlops.evaluation.sandbox_channel import receive, send
from polymlops.evaluation.sandbox_programs import Outcome, Program
from polymlops.evaluation.sandbox_wire import WireError, decode, encode

SPARE_SECONDS = 10.0  # for what the worker does around a sample
LEAVING_SECONDS = 0.5
MESSAGE_LIMIT = 2**30
ENTRY = "import sys; sys.path.insert(0, {root!r}); from polymlops.evaluation.sandbox_worker import main; main()"
# Without a site folder, user site, current folder or bytecode; strings hash alike in every run.
FLAGS = ("-P", "-s", "-S", "-B", "-X", "utf8")
# One thread: filters and rules hold for the thread that takes them on. Symbols are bound at the start: what a sample
# binds, every sample binds again, on pages that are then its own. The worker clears what is here.
THREADS = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
ENVIRONMENT = {"PYTHONHASHSEED": "0", "LD_BIND_NOW": "1", **THREADS}


class Worker:
    """A worker's process, which serves one program at a time."""

    def __init__(self, limits: SandboxLimits, packages: tuple[str, ...]) -> None:
        self._limits = limits
        self._folder = tempfile.TemporaryDirectory(prefix="polymlops-sandbox-", ignore_cleanup_errors=True)
        self._channel, theirs = socket.socketpair()
        root = str(Path(__file__).resolve().parents[2])
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, *FLAGS, "-c", ENTRY.format(root=root)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=ENVIRONMENT,
                cwd=self._folder.name,
            )
        self.deadline = 0.0
        self.missing: tuple[str, ...] = ()
        self._greet(packages)

    def wait_until_ready(self) -> None:
        """Wait for the worker to be warm and isolated. Raises: StageError where it does not come to that."""
        try:
            self.missing = decode(receive(self.fileno(), MESSAGE_LIMIT))
        except (EOFError, OSError, WireError) as error:
            raise self._failed() from error

    def fileno(self) -> int:
        """For a selector: readable where the outcome is there, or the worker is gone."""
        return self._channel.fileno()

    def begin(self, program: Program) -> None:
        """Hand over a program; where the worker is gone, `outcome` will tell."""
        tests = f"{program.setup}\n{program.tests}" if program.setup else program.tests
        task = (program.source, tests, program.entry_point, program.helpers)
        attempts = 2  # split, and in one process
        tests_too = self._limits.wall_seconds + self._limits.cpu_seconds
        self.deadline = time.monotonic() + attempts * tests_too + SPARE_SECONDS
        with suppress(OSError):
            send(self.fileno(), encode(task, MESSAGE_LIMIT))

    def outcome(self) -> Outcome:
        """What became of the program. Raises: EOFError, OSError or WireError where the worker is gone."""
        verdict, reason, cpu_seconds, together = decode(receive(self.fileno(), MESSAGE_LIMIT))
        return Outcome(verdict, reason, cpu_seconds, together)

    def close(self) -> None:
        """End the worker and all its processes; an idle one leaves by itself when the caller hangs up."""
        self._channel.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(LEAVING_SECONDS)
        self._process.kill()
        self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._folder.cleanup()

    def _greet(self, packages: tuple[str, ...]) -> None:
        limits = self._limits
        sample = (limits.cpu_seconds, limits.wall_seconds, limits.memory_mib, limits.file_mib)
        task = {
            "limits": (*sample, limits.processes, limits.output_kib),
            "folder": os.path.realpath(self._folder.name),
            "packages": list(packages),
            "modules": ["numpy"] if packages else [],
        }
        try:
            send(self.fileno(), encode(task, MESSAGE_LIMIT))
        except OSError as error:
            raise self._failed() from error

    def _failed(self) -> StageError:
        self._process.kill()
        said = self._process.stderr.read(4000) if self._process.stderr else b""
        self.close()
        return StageError(f"a sandbox worker does not start: {said.decode(errors='replace').strip()}")


def numpy_packages() -> tuple[str, ...]:
    """Folders that hold numpy, without importing it; empty where it is not installed."""
    found = importlib.util.find_spec("numpy")
    if found is None or not found.submodule_search_locations:
        return ()
    folder = Path(next(iter(found.submodule_search_locations))).resolve()
    beside = folder.with_name("numpy.libs")
    return tuple(str(path) for path in (folder, beside) if path.is_dir())
