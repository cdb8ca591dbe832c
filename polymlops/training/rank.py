"""One of the processes of `polymlops.training.processes`: `python -m polymlops.training.rank REQUEST`."""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Client, Connection
from pathlib import Path
from threading import Event, Thread
from typing import Any

from polymlops.errors import InputError
from polymlops.records import Job
from polymlops.training.memory import first_line
from polymlops.training.processes import Request


def main() -> int:
    """Do this process's part of a request."""
    if int(os.environ["RANK"]) > 0:
        os.environ["TQDM_DISABLE"] = "1"  # one bar is enough
    request: Request = pickle.loads(Path(sys.argv[1]).read_bytes())
    connection = Client(request.address, authkey=request.key)
    assert isinstance(connection, Connection)
    Thread(target=_end_with_the_stage, args=(connection,), daemon=True).start()
    try:
        metrics = _trained(request, connection)
    except Exception as error:  # noqa: BLE001  # any: it is the stage's
        connection.send(_failure(error))
        Event().wait()  # what the others say about its absence would come in between
    if int(os.environ["RANK"]) == 0:
        connection.send(("result", metrics))
    return 0


def _trained(request: Request, connection: Connection) -> Mapping[str, float]:
    import torch.distributed as dist

    _join_the_others()
    metrics = request.train(_job(request, connection))
    dist.barrier()
    dist.destroy_process_group()
    return dict(metrics)


def _join_the_others() -> None:
    """One CUDA device for each process, where there are any.

    Raises:
        InputError: there are fewer devices than processes.
    """
    import torch
    import torch.distributed as dist

    place, devices = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if not devices:
        dist.init_process_group("gloo")
        return
    if place >= devices:
        raise InputError(f"processes = {os.environ['WORLD_SIZE']}, but there are {devices} CUDA devices: ask for fewer")
    torch.cuda.set_device(place)
    dist.init_process_group("cpu:gloo,cuda:nccl")


def _job(request: Request, connection: Connection) -> Job:
    """The stage's job in the first process; the others report nothing."""
    if int(os.environ["RANK"]) > 0:
        return Job(request.output, request.scratch, lambda metrics, step: None, halvings=request.halvings)

    def log(metrics: Mapping[str, float], step: int) -> None:
        connection.send(("log", dict(metrics), step))

    def note(name: str, text: str, /) -> None:
        connection.send(("note", name, text))

    def progress(done: float, total: float, unit: str, /) -> None:
        connection.send(("progress", done, total, unit))

    return Job(request.output, request.scratch, log, note, progress, request.halvings)


def _end_with_the_stage(connection: Connection) -> None:
    """End this process once nobody listens: the stage closes its end, or is killed."""
    try:
        connection.recv()
    except (EOFError, OSError):
        os._exit(1)


def _failure(error: Exception) -> tuple[str, Any]:
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return "memory", f"process {os.environ['RANK']}: {first_line(error)}"
    return "error", _portable(error)


def _portable(error: Exception) -> Any:
    """The error, or its text where it cannot be sent."""
    text = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001  # any: what an error's own code raises
        return text
    error.add_note(text)
    return error


if __name__ == "__main__":
    sys.exit(main())
