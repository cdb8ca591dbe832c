"""Child processes that never outlive us, and the wait until one answers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from polymlops.errors import StageError

LOOPBACK = "127.0.0.1"
STOP_TIMEOUT_S = 10.0
FIRST_SERVER_ERROR = 500


@contextmanager
def child(
    module: str, arguments: Sequence[str], log: Path, env: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a module of ours that ends when its stdin does; stderr goes to the log, and the end of the block ends it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**env, "PYTHONPATH": _import_path(env)},
        )
    try:
        yield process
    finally:
        _stop(process)


def _import_path(env: Mapping[str, str]) -> str:
    """So that the child finds this package however the parent found it."""
    root = str(Path(__file__).resolve().parent.parent)
    return os.pathsep.join(part for part in (root, env.get("PYTHONPATH", "")) if part)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def wait_until_answers(process: subprocess.Popen[bytes], url: str, what: str, timeout_s: float) -> None:
    """Wait for a URL to answer.

    Raises:
        StageError: the process ended, or the time is over.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise StageError(f"{what} ended with code {process.returncode} before it answered")
        if answers(url):
            return
        time.sleep(0.05)
    raise StageError(f"{what} did not answer within {timeout_s:.0f} s")


def answers(url: str) -> bool:
    """True where something answers there, if only to ask who we are."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        return error.code < FIRST_SERVER_ERROR
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def free_port(wanted: int = 0) -> int:
    """The wanted loopback port, or any free one for 0.

    Raises:
        OSError: the port is taken.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((LOOPBACK, wanted))
        return int(probe.getsockname()[1])
