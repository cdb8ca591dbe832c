"""The few system calls of isolation that Python's standard library has no name for, called by ctypes.

The bindings of seccomp and Landlock on the package index are not used: one wraps a shared library that many images
lack, and both would have to be on the path of a process whose point is to see the standard library only. The calls
below have a stable interface and are a line each.
"""

from __future__ import annotations

import ctypes
import errno
import os

MOUNT_SETATTR, LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 442, 444, 445, 446  # the same on every machine
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
SECCOMP = {"x86_64": 317, "aarch64": 277}
CAPSET = {"x86_64": 126, "aarch64": 91}
SET_NO_NEW_PRIVILEGES, SET_PARENT_DEATH, SET_DUMPABLE = 38, 1, 4
AT_RECURSIVE, AT_FDCWD = 0x8000, -100
READ_ONLY, NO_SETUID, NO_DEVICES = 1, 2, 4  # of mount_setattr
NEW_MOUNTS, NEW_UTS, NEW_IPC, NEW_USER, NEW_PIDS, NEW_NETWORK = (
    *(0x20000, 0x4000000, 0x8000000),
    *(0x10000000, 0x20000000, 0x40000000),
)

_libc = ctypes.CDLL(None, use_errno=True)
_libc_with_lock = ctypes.PyDLL(None, use_errno=True)  # calls that keep the interpreter's lock


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


class PreparedCall:
    """A system call by number whose arguments are made ahead, for where every touched page is paid for."""

    def __init__(self, what: str, number: int, *arguments: object) -> None:
        self._what = what
        self._words = tuple(ctypes.c_long(word) if isinstance(word, int) else word for word in (number, *arguments))

    def __call__(self) -> int:
        """Do it. Raises: OSError that names it."""
        return _checked(_libc.syscall(*self._words), self._what)


def call(what: str, number: int, *arguments: object) -> int:
    """A system call by number.

    Raises: OSError that names it.
    """
    return PreparedCall(what, number, *arguments)()


def fork() -> int:
    """Fork this process, which must have one thread; 0 in the child.

    Without what Python does in a child of `os.fork`: it sets up its lock and its threads again, which one thread
    does not need, and seeds `random`, which costs a sample as much as the fork itself.

    Raises: OSError.
    """
    return _checked(_libc_with_lock.fork(), "fork")


def unshare(flags: int) -> None:
    """Leave namespaces for new ones. Raises: OSError."""
    _checked(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """Mount. Raises: OSError."""
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind, data)]
    result = _libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3])
    _checked(result, f"mount {target}")


def pivot_root() -> None:
    """Make the current folder, a mount, the root, and take the old root off the tree. Raises: OSError."""
    number = PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, "pivot_root: this machine is not in the table")
    here = ctypes.c_char_p(b".")
    call("pivot_root", number, here, here)  # the old root now lies on top of the new one
    _checked(_libc.umount2(b".", 2), "unmount the old root")


def harden_mount(target: str, bits: int) -> None:
    """Set flags of a mount and of all below it; flags that it has stay. Raises: OSError."""
    attributes = (ctypes.c_uint64 * 4)(bits, 0, 0, 0)
    path = ctypes.c_char_p(os.fsencode(target))
    call("mount_setattr", MOUNT_SETATTR, AT_FDCWD, path, AT_RECURSIVE, ctypes.byref(attributes), 32)


def process_control(option: int, value: int) -> None:
    """One of prctl's settings with one value. Raises: OSError."""
    words = [ctypes.c_ulong(word) for word in (value, 0, 0, 0)]
    _checked(_libc.prctl(option, *words), f"prctl {option}")


def drop_capabilities() -> None:
    """Give up every capability for good. Raises: OSError."""
    number = CAPSET.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, "capset: this machine is not in the table")
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    call("capset", number, ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))
