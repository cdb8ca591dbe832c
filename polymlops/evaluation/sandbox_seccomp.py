"""System call filters: a long list of what is allowed, once for a worker, and a short one for every sample.

Assembled here by hand, since a filter is an array of (code, jump, jump, constant): see `sandbox_kernel` for why no
binding is used. Whatever a filter does not know gets EPERM, so that a program sees an exception and may go on.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable

from polymlops.evaluation.sandbox_kernel import SECCOMP, PreparedCall
from polymlops.evaluation.sandbox_syscalls import ALLOWED, FATAL, MACHINES, NAMED, machine, numbers

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER_AT, MACHINE_AT, FIRST_ARGUMENT_AT = 0, 4, 16  # the low half: both machines are little-endian
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
CLONE_THREAD = 0x10000
OTHER_INTERFACE = 0x40000000  # x86_64 numbers from here on are the x32 interface

Step = tuple[int, int, int, int]
STEP = struct.Struct("<HBBI")
PID = struct.Struct("<I")
CONSTANT_AT = 4  # in a step


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.POINTER(ctypes.c_char)))


def worker_filter(name: str) -> bytes:
    """The filter of a worker, about 300 steps, for a machine of the tables."""
    named = numbers(NAMED, name)
    steps = _opening(name)
    steps += _answer([named["clone3"]], REFUSE | errno.ENOSYS)  # its flags are out of a filter's sight
    steps += _answer(numbers(FATAL, name).values(), KILL)
    steps += _answer(numbers(ALLOWED, name).values(), ALLOW)
    return _assembled([*steps, (RETURN, 0, 0, REFUSE | errno.EPERM)])


class SampleFilter:
    """The filter of a sample, made ahead of it: threads but no processes, signals to itself only.

    The worker's filter holds as well.
    """

    def __init__(self, name: str) -> None:
        named = numbers(NAMED, name)
        refuse = (RETURN, 0, 0, REFUSE | errno.EPERM)
        steps: list[Step] = [(LOAD, 0, 0, NUMBER_AT)]
        steps += _answer([named[call] for call in ("fork", "vfork", "tkill") if call in named], refuse[3])
        steps += [(EQUAL, 0, 3, named["clone"]), (LOAD, 0, 0, FIRST_ARGUMENT_AT), (ANY_BIT, 6, 0, CLONE_THREAD), refuse]
        steps += [(EQUAL, 1, 0, named["kill"]), (EQUAL, 0, 3, named["tgkill"]), (LOAD, 0, 0, FIRST_ARGUMENT_AT)]
        self._own_pid_at = len(steps) * STEP.size + CONSTANT_AT
        steps += [(EQUAL, 1, 0, 0), refuse, (RETURN, 0, 0, ALLOW)]
        self._steps = bytearray(_assembled(steps))
        self._install = _installation(self._steps)

    def install(self) -> None:
        """Put the filter on this process, which becomes the only one that it may signal. Raises: OSError."""
        PID.pack_into(self._steps, self._own_pid_at, os.getpid())
        self._install()


def _installation(steps: bytearray) -> PreparedCall:
    number = SECCOMP.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, "seccomp: this machine is not in the table")
    there = (ctypes.c_char * len(steps)).from_buffer(steps)
    program = _Program(len(steps) // STEP.size, there)
    return PreparedCall("seccomp", number, 1, 0, ctypes.byref(program))


def install(assembled: bytes) -> None:
    """Put a filter on this process, for good; it needs no_new_privs.

    Raises: OSError where the kernel has no seccomp.
    """
    _installation(bytearray(assembled))()


def install_for_worker() -> None:
    """Put the worker's filter on this process. Raises: OSError where the machine or the kernel has none."""
    name = machine()
    if name is None:
        raise OSError(errno.ENOSYS, "seccomp: this machine is not in the table")
    install(worker_filter(name))


def _opening(name: str) -> list[Step]:
    return [
        *((LOAD, 0, 0, MACHINE_AT), (EQUAL, 1, 0, MACHINES[name][0]), (RETURN, 0, 0, KILL)),
        *((LOAD, 0, 0, NUMBER_AT), (AT_LEAST, 0, 1, OTHER_INTERFACE), (RETURN, 0, 0, KILL)),
    ]


def _answer(calls: Iterable[int], answer: int) -> list[Step]:
    return [step for number in calls for step in ((EQUAL, 0, 1, number), (RETURN, 0, 0, answer))]


def _assembled(steps: list[Step]) -> bytes:
    return b"".join(STEP.pack(*step) for step in steps)
