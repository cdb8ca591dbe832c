"""The parent of every sample: forks it, watches its clocks, ends it with all it started, and empties its folder.

It is the first process of its namespace, so what it kills with -1 is all there is, whatever a sample tried to leave
behind; and a sample cannot kill it. It holds neither programs nor tests: those pass it by.
"""

from __future__ import annotations

import marshal
import os
import random
import select
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass

from polymlops.evaluation import sandbox_kernel as kernel
from polymlops.evaluation.sandbox_candidate import Candidate
from polymlops.evaluation.sandbox_isolation import OPEN_FILES, Isolation, SampleIsolation, SampleLimits

READY, START, END = b"ready", b"start", b"end"
REPORT_LIMIT = 4096
SHORTEST_WAIT = 0.005
PROMPT_SECONDS = 0.02  # most samples are done by then, before any clock has to be read
MOST_PASSES = 10_000


@dataclass(frozen=True, slots=True)
class Ending:
    """How a sample's process ended: `limit` is the clock that it ran out of, `cpu`, `wall` or nothing."""

    limit: str
    signal: int
    status: int
    cpu_seconds: float


def watch(control: socket.socket, limits: SampleLimits, isolation: Isolation, size: int) -> None:
    """Serve samples until the judge is gone; `size` is the worker's address space in bytes.

    The process of the next sample is forked ahead and waits for its program, while the judge is busy with the last.
    What a sample needs is made before the fork: a page that it need not write is a page that is not copied.
    """
    layers = SampleIsolation(limits, isolation, size)
    candidate = Candidate(limits.output_kib * 1024)
    random.seed(0)  # a program that draws without a seed draws the same in every run
    told = select.poll()
    told.register(control, select.POLLIN)
    clean = True
    while clean:  # a folder that cannot be emptied is no folder for the next sample
        ours, theirs = socket.socketpair()
        pid = kernel.fork()
        if pid == 0:
            _become_sample(theirs.fileno(), layers, candidate)
        with ours, theirs:
            socket.send_fds(control, [READY], [ours.fileno()])
        if control.recv(len(START)) != START:
            return
        ending = _watched(pid, control, told, limits)
        clean = _emptied(isolation.box)
        control.send(marshal.dumps((ending.limit, ending.signal, ending.status, ending.cpu_seconds)))


def started(control: socket.socket) -> int:
    """From the judge: start a sample, which waits for its program on this channel; the caller closes it.

    Raises: EOFError where the warden is gone.
    """
    data, channels, _, _ = socket.recv_fds(control, len(READY), 1)
    if data != READY or not channels:
        raise EOFError("the warden is gone")
    control.send(START)
    return channels[0]


def ended(control: socket.socket) -> Ending:
    """From the judge: end the sample, if it still runs, and tell how it went.

    Raises: EOFError where the warden is gone.
    """
    try:
        control.send(END)
        data = control.recv(REPORT_LIMIT)
    except OSError as error:
        raise EOFError("the warden is gone") from error
    if not data:
        raise EOFError("the warden is gone")
    return Ending(*marshal.loads(data))


def _become_sample(channel: int, layers: SampleIsolation, candidate: Candidate) -> None:
    try:
        os.setsid()
        layers.put_on()
        os.closerange(3, channel)
        os.closerange(channel + 1, OPEN_FILES)
        candidate.serve(channel)
    finally:
        os._exit(0)


def _watched(pid: int, control: socket.socket, told: select.poll, limits: SampleLimits) -> Ending:
    """Wait until the sample ends, or the judge ends it, or a clock runs out; then end it and all that it left."""
    deadline = time.monotonic() + limits.wall_seconds
    prompt = min(PROMPT_SECONDS, limits.cpu_seconds / limits.processes)
    limit = "" if told.poll(1000 * prompt) else _limit_of(pid, control, limits, deadline)
    _kill_all(pid)
    _, status, usage = os.wait4(pid, 0)
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    control.recv(len(END))
    used = usage.ru_utime + usage.ru_stime
    if os.WIFSIGNALED(status):
        return Ending(limit, os.WTERMSIG(status), 0, used)
    return Ending(limit, 0, os.WEXITSTATUS(status), used)


def _limit_of(pid: int, control: socket.socket, limits: SampleLimits, deadline: float) -> str:
    """The clock that ran out; empty where the sample ended by itself or the judge has spoken."""
    handle = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    poll.register(control, select.POLLIN)
    try:
        while True:
            cpu_left = limits.cpu_seconds - _cpu_seconds(pid)
            wall_left = deadline - time.monotonic()
            if min(cpu_left, wall_left) <= 0:
                return "cpu" if cpu_left <= 0 else "wall"
            if poll.poll(1000 * max(SHORTEST_WAIT, min(cpu_left / limits.processes, wall_left))):
                return ""
    finally:
        os.close(handle)


def _cpu_seconds(pid: int) -> float:
    try:
        return time.clock_gettime(~pid << 3 | 2)  # the kernel's number for the clock of a whole process
    except OSError:
        return 0.0  # it has just ended


def _kill_all(pid: int) -> None:
    """End the sample and whatever it started: everything in the namespace, or, without one, its session's group."""
    with suppress(ProcessLookupError):
        if os.getpid() == 1:
            os.kill(-1, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
            os.killpg(pid, signal.SIGKILL)


def _emptied(box: str) -> bool:
    """Remove all that a sample wrote, however deep, without recursion: what lies deeper is moved up, pass by pass."""
    serial = 0
    try:
        os.chmod(box, 0o700)
        for _ in range(MOST_PASSES):
            entries = list(os.scandir(box))
            if not entries:
                return True
            for entry in entries:
                serial = _removed(box, entry, serial)
    except OSError:
        return False
    return False


def _removed(box: str, entry: os.DirEntry[str], serial: int) -> int:
    if not entry.is_dir(follow_symlinks=False):
        os.unlink(entry.path)
        return serial
    os.chmod(entry.path, 0o700)
    for inner in list(os.scandir(entry.path)):
        serial += 1
        os.rename(inner.path, f"{box}/.{os.getpid()}.moved.{serial}")
    os.rmdir(entry.path)
    return serial
