"""The layers around a worker, put on one after another; what a kernel lacks is named, and the others hold.

Namespaces (mount, pid, network, ipc), a root folder of its own, a user without rights, Landlock, seccomp, and rlimits.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Sequence
from dataclasses import dataclass

from polymlops.evaluation import sandbox_kernel as kernel
from polymlops.evaluation import sandbox_landlock as landlock
from polymlops.evaluation import sandbox_namespaces as namespaces
from polymlops.evaluation import sandbox_seccomp as seccomp
from polymlops.evaluation.sandbox_syscalls import machine

MIB = 2**20
WORKER_TASKS = 2  # the judge and the warden count against a user's number of tasks
OPEN_FILES = 64
JUDGE_SHARE = 2  # the judge holds arguments and results, and what the tests make of them


@dataclass(frozen=True, slots=True)
class SampleLimits:
    """What one sample may use; see `polymlops.config.sandbox`."""

    cpu_seconds: float
    wall_seconds: float
    memory_mib: int
    file_mib: int
    processes: int
    output_kib: int


@dataclass(frozen=True, slots=True)
class Isolation:
    """What was put around this worker: layers that are missing, the folder for samples, and rules to pass on."""

    missing: tuple[str, ...]
    box: str
    rules: int | None
    filtered: bool


def isolate(limits: SampleLimits, folder: str, packages: Sequence[str]) -> Isolation:
    """Isolate this process and whatever it starts.

    Args:
        limits: of one sample.
        folder: an empty folder, to build a root on; where that cannot be done, the folder for samples.
        packages: folders beside the standard library that may be read.
    """
    missing = namespaces.leave_namespaces()
    paths, box = namespaces.readable_paths(packages), folder
    if "mount namespace" not in missing:
        try:
            namespaces.change_root(paths, folder, limits.file_mib)
            box = "/tmp"  # its own, of this namespace
        except OSError:
            missing.append("private root folder")
    os.chdir(box)
    if not namespaces.drop_user(paths, box):
        missing.append("unprivileged user")
    kernel.process_control(kernel.SET_NO_NEW_PRIVILEGES, 1)
    rules = _landlock(paths, box, missing)
    filtered = _seccomp(missing)
    return Isolation(tuple(missing), box, rules, filtered)


def _landlock(paths: Sequence[str], box: str, missing: list[str]) -> int | None:
    try:
        rules = landlock.ruleset(paths, box, namespaces.DEVICES)
        landlock.restriction(rules)()
    except OSError:
        missing.append("Landlock")
        return None
    return rules


def _seccomp(missing: list[str]) -> bool:
    try:
        seccomp.install_for_worker()
    except OSError:
        missing.append("seccomp")
        return False
    return True


def limit_worker(limits: SampleLimits) -> None:
    """Limits that hold for every process of the worker from here on."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_mib * MIB,) * 2)


def limit_judge(limits: SampleLimits, size: int) -> None:
    """Bound what tests may build out of returned values; `size` is the process's address space in bytes so far."""
    room = size + JUDGE_SHARE * limits.memory_mib * MIB
    resource.setrlimit(resource.RLIMIT_AS, (room, room))


def check_one_thread() -> None:
    """Filters and rules hold for the thread that takes them on, and for what it starts later.

    Raises: RuntimeError where this process has other threads.
    """
    try:
        threads = os.listdir("/proc/self/task")
    except OSError:
        return  # no /proc: nothing to count
    if len(threads) != 1:
        raise RuntimeError(f"{len(threads)} threads before isolation: a preloaded module started some")


def own_size() -> int:
    """Address space of this process in bytes, 0 where /proc does not tell."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


class SampleIsolation:
    """The last layers, which a sample puts on itself just before it loads the program; all that can be is made ahead.

    `size` is the address space of the process in bytes before anything of the program is in it.
    """

    def __init__(self, limits: SampleLimits, isolation: Isolation, size: int) -> None:
        room, seconds = size + limits.memory_mib * MIB, int(limits.cpu_seconds) + 2  # the warden's clock comes first
        tasks = WORKER_TASKS + limits.processes
        self._limits = (
            (resource.RLIMIT_AS, (room, room)),
            (resource.RLIMIT_CPU, (seconds, seconds)),
            (resource.RLIMIT_NPROC, (tasks, tasks)),
        )
        self._restrict = None if isolation.rules is None else landlock.restriction(isolation.rules)
        name = machine()
        self._filter = seccomp.SampleFilter(name) if isolation.filtered and name is not None else None

    def put_on(self) -> None:
        """Isolate this process. Raises: OSError or ValueError; nothing of the program may run then."""
        for kind, bounds in self._limits:
            resource.setrlimit(kind, bounds)
        if self._restrict is not None:
            self._restrict()
        if self._filter is not None:
            self._filter.install()
