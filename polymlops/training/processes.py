"""Training on several GPUs: the same stage in several processes, started by `accelerate launch`.

Each process takes its share of every batch and they add up their gradients, so that the effective batch is what the
config says. The first one writes the adapter; what it reports comes here through a local socket, and from here goes
where a stage's reports go. Should this process end, however it does, the others find the socket closed and end, too.

With dropout off the result is that of one process to rounding. With dropout the processes draw masks of their own, so
the number of processes is part of what a result is remembered by.
"""

from __future__ import annotations

import logging
import os
import pickle
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, Listener, wait
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

from polymlops.errors import TrainingError, WorkerLostError
from polymlops.records import Job
from polymlops.training.memory import told_once

Train = Callable[[Job], Mapping[str, float]]
START_S = 600.0  # to import everything and to find each other, on a machine that has other work
GRACE_S = 1.0
STDERR = 2  # even where sys.stderr is a notebook's
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """What every process is given: the work, where to report, and how often memory was too small for it before."""

    train: Train
    output: Path
    scratch: Path
    address: str
    key: bytes
    halvings: int = 0


def in_processes(train: Train, processes: int, job: Job) -> Mapping[str, float]:
    """Train here where one process is asked for, else in so many new ones.

    Args:
        train: it can be pickled, and does in every process what `polymlops.models.ranks` leaves to it.
        processes: on CUDA, as many as there are devices at most.
        job: what it is given in the first process writes and reports here.

    Raises:
        WorkerLostError: a process ended without a word.
        Exception: whatever `train` raised in one of them.
    """
    if processes == 1:
        return train(job)
    job, halvings = told_once(job), 0
    while True:
        ended = _attempt(train, processes, job, halvings)
        if isinstance(ended, Mapping):
            return ended
        halvings += 1
        job.note("micro_batch", ended)
        logger.warning("micro_batch: %s", ended)


def _attempt(train: Train, processes: int, job: Job, halvings: int) -> Mapping[str, float] | str:
    """The metrics; or, where memory was too small, how much of what there was too little for."""
    key = secrets.token_bytes(32)
    with TemporaryDirectory(prefix="polymlops-") as folder, Listener(f"{folder}/reports", authkey=key) as listener:
        request = Path(folder) / "request"
        request.write_bytes(pickle.dumps(Request(train, job.output, job.scratch, f"{folder}/reports", key, halvings)))
        reports: list[Connection] = []
        try:
            with _launched(request, processes) as launcher:
                _connect(listener, processes, launcher, reports)
                return _followed(reports, launcher, job)
        finally:
            for connection in reports:  # which ends those that still run
                connection.close()


@contextmanager
def _launched(request: Path, processes: int) -> Iterator[subprocess.Popen[bytes]]:
    import torch

    from polymlops.training import rank  # started by name: imported so that it is in a stage's fingerprint

    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", f"--num_processes={processes}"]
    command += ["--num_machines=1", "--machine_rank=0", "--mixed_precision=no", "--dynamo_backend=no"]
    command += ["--main_process_port=0", "--module", rank.__name__, str(request)]
    threads = str(max(1, torch.get_num_threads() // processes))
    environment = os.environ | {"OMP_NUM_THREADS": threads, "ACCELERATE_USE_CPU": str(not torch.cuda.is_available())}
    launcher = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=STDERR, env=environment)
    try:
        yield launcher
    finally:
        launcher.kill()  # at once, or it would tell at length of processes that end because this one wants it
        launcher.wait()


def _connect(
    listener: Listener, processes: int, launcher: subprocess.Popen[bytes], connections: list[Connection]
) -> None:
    """Wait until every process is connected."""
    accepting = Thread(target=_accept, args=(listener, processes, connections), daemon=True)
    accepting.start()
    deadline = time.monotonic() + START_S
    while accepting.is_alive() and launcher.poll() is None and time.monotonic() < deadline:
        accepting.join(0.1)
    if len(connections) < processes:
        raise WorkerLostError(
            f"{len(connections)} of {processes} training processes started; what accelerate said stands above"
        )


def _accept(listener: Listener, processes: int, connections: list[Connection]) -> None:
    while len(connections) < processes:
        try:
            connections.append(listener.accept())
        except OSError:  # the listener was closed
            return


def _followed(reports: list[Connection], launcher: subprocess.Popen[bytes], job: Job) -> Mapping[str, float] | str:
    """Hand on what comes, until the result or an error does."""
    handlers: dict[str, Callable[..., None]] = {"log": job.log, "note": job.note, "progress": job.progress}
    while True:
        for connection in wait(reports):
            kind, *values = _received(connection)
            match kind:
                case "result":
                    launcher.wait()
                    return values[0]
                case "memory":
                    return values[0]
                case "error":
                    for other in wait([report for report in reports if report is not connection], GRACE_S):
                        _received(other)  # a process that is gone is why those that wait for it fail
                    raise _whole(values[0])
                case _:
                    handlers[kind](*values)


def _received(connection: Any) -> tuple[Any, ...]:
    try:
        return connection.recv()
    except (EOFError, OSError) as error:
        raise WorkerLostError("a training process ended without a word: was it killed?") from error


def _whole(error: Any) -> Exception:
    return error if isinstance(error, Exception) else TrainingError(str(error))
