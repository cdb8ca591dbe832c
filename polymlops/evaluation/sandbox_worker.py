"""The worker's process: a small clean interpreter that is warmed, isolated, split in two, and serves samples.

Started as `python -P -s -S -B`, never forked from the caller, so that it holds none of the caller's memory. It becomes
the judge; the warden, its only child, becomes the first process of a namespace of its own and forks every sample. Both
stay until the caller hangs up.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import sys
from typing import Any

from polymlops.evaluation import sandbox_kernel as kernel
from polymlops.evaluation.sandbox_channel import receive, send
from polymlops.evaluation.sandbox_isolation import (
    Isolation,
    SampleLimits,
    check_one_thread,
    isolate,
    limit_judge,
    limit_worker,
    own_size,
)
from polymlops.evaluation.sandbox_judge import Judge, Task
from polymlops.evaluation.sandbox_rehearsal import rehearse
from polymlops.evaluation.sandbox_warden import watch
from polymlops.evaluation.sandbox_wire import decode, encode

MESSAGE_LIMIT = 2**30
RECURSION = 5000  # a value may be nested 200 deep, which takes three calls a level
WARM = (
    "array bisect cmath collections copy dataclasses datetime decimal functools fractions hashlib heapq itertools json "
    "math operator random re statistics string sys time typing"
)


def main() -> None:
    """Serve the caller on file descriptor 0 until it hangs up."""
    channel = os.dup(0)
    task = decode(receive(channel, MESSAGE_LIMIT))
    limits = SampleLimits(*task["limits"])
    _warm(task["packages"], task["modules"])
    os.environ.clear()
    check_one_thread()
    size = own_size()
    limit_worker(limits)
    isolation = isolate(limits, task["folder"], task["packages"])
    _close_standard_streams()
    rehearse()
    gc.collect()
    gc.freeze()  # what the samples share stays untouched, and so is not copied
    control = _start_warden(channel, limits, isolation, size)
    sys.setrecursionlimit(RECURSION)
    limit_judge(limits, size)
    send(channel, encode(isolation.missing, MESSAGE_LIMIT))
    with control:
        _serve(channel, control, limits)
    os.wait()  # the warden leaves when its judge hangs up


def _warm(packages: list[str], modules: list[str]) -> None:
    """Import what programs use, so that no sample has to; only the standard library and `packages` stay in sight."""
    own = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != own]
    sys.path += sorted({os.path.dirname(path) for path in packages})
    for name in (*WARM.split(), *modules):
        importlib.import_module(name)


def _close_standard_streams() -> None:
    """Nothing is read from outside, and what is printed is thrown away."""
    nothing = os.open("/dev/null", os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.close(nothing)


def _start_warden(channel: int, limits: SampleLimits, isolation: Isolation, size: int) -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        try:
            kernel.process_control(kernel.SET_PARENT_DEATH, signal.SIGKILL)
            ours.close()
            os.close(channel)
            watch(theirs, limits, isolation, size)
        finally:
            os._exit(0)
    theirs.close()
    return ours


def _serve(channel: int, control: socket.socket, limits: SampleLimits) -> None:
    judge = Judge(control, limits)
    while True:
        try:
            request: Any = decode(receive(channel, MESSAGE_LIMIT))
            found = judge.judged(Task(*request))
        except EOFError:
            return
        reply = (found.verdict, found.reason, found.cpu_seconds, found.in_one_process)
        send(channel, encode(reply, MESSAGE_LIMIT))
