"""A worker's own view of the machine: namespaces, a root folder that holds little, and a user without rights.

Everything is done in the worker's process before anything untrusted is near. The order matters: mount first, then give
up the user, since the interpreter may lie in a folder that no ordinary user can enter.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Sequence
from contextlib import suppress

from polymlops.evaluation import sandbox_kernel as kernel

BIND, RECURSIVE, PRIVATE = 0x1000, 0x4000, 0x40000
TMPFS = 2 | 4  # no set-uid, no devices
NAMESPACES = {
    "mount namespace": kernel.NEW_MOUNTS,
    "pid namespace": kernel.NEW_PIDS,
    "network namespace": kernel.NEW_NETWORK,
    "ipc namespace": kernel.NEW_IPC | kernel.NEW_UTS,
}
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
NOBODY = 65534
OWN_USERS = 1 << 30  # a user of its own for each worker of root, so that its count of tasks is its own


def leave_namespaces() -> list[str]:
    """Move this process into namespaces of its own; returns the layers that the kernel refused, by name.

    The namespace of processes holds for children. An ordinary user needs a user namespace for the others.
    """
    user, group = os.geteuid(), os.getegid()
    if user != 0:
        with suppress(OSError):  # where it fails, so does each of the following, which are named
            kernel.unshare(kernel.NEW_USER)
            _map_user(user, group)
    missing = []
    for name, flag in NAMESPACES.items():
        try:
            kernel.unshare(flag)
        except OSError:
            missing.append(name)
    return missing


def _map_user(user: int, group: int) -> None:
    for path, line in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{path}", "w") as file:
            file.write(line)


def readable_paths(extra: Sequence[str]) -> list[str]:
    """What Python needs of the file system: its library, shared libraries, and the given folders."""
    prefix = os.path.realpath(sys.base_prefix)
    own = [sysconfig.get_path(name, vars={"base": prefix}) for name in ("stdlib", "platstdlib")]
    trees = [path for path in [*own, *sys.path] if os.path.isdir(path)]
    if prefix not in ("/", "/usr", "/usr/local"):
        trees.append(os.path.join(prefix, "lib"))
    chosen: list[str] = []
    for path in sorted({os.path.normpath(path) for path in (*trees, *extra, *LIBRARIES) if os.path.exists(path)}):
        if os.path.islink(path) or not any(path.startswith(f"{parent}/") for parent in chosen):
            chosen.append(path)
    return chosen


def change_root(paths: Sequence[str], folder: str, mib: int) -> None:
    """Make a root folder out of the paths, read-only, and an empty /tmp of so many MiB; nothing else is left to see.

    `folder` is an empty folder to build it on. Afterwards this process stands in /tmp.

    Raises: OSError; the old root is in place then, unless the last steps failed.
    """
    kernel.mount("none", "/", None, PRIVATE | RECURSIVE)
    kernel.mount("tmpfs", folder, "tmpfs", TMPFS, "mode=755,size=1m")
    for path in (*paths, *DEVICES):
        with suppress(FileNotFoundError):
            _show(path, folder + path)
    os.makedirs(f"{folder}/tmp", exist_ok=True)
    kernel.harden_mount(folder, kernel.READ_ONLY | kernel.NO_SETUID)
    kernel.mount("tmpfs", f"{folder}/tmp", "tmpfs", TMPFS, f"mode=777,size={mib}m,nr_inodes=4096")
    os.chdir(folder)
    kernel.pivot_root()
    os.chdir("/tmp")  # the one just made


def _show(path: str, target: str) -> None:
    """Make a path visible at the target: a link as it is, a folder or file as a mount."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(path):
        os.symlink(os.readlink(path), target)
        return
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    elif os.path.exists(path):
        with open(target, "x"):
            pass
    kernel.mount(path, target, None, BIND | RECURSIVE)


def drop_user(paths: Sequence[str], box: str) -> bool:
    """Stop being root, and hold no capability; False where the kernel or the files' rights do not allow it."""
    try:
        if os.geteuid() == 0:
            if not all(_open_to_all(path) for path in (*paths, box)):
                return False
            _become(OWN_USERS + os.getpid(), box)
        kernel.drop_capabilities()
    except OSError:
        return False
    return os.geteuid() != 0


def _become(user: int, box: str) -> None:
    os.setgroups([])
    try:
        os.chown(box, user, user)
    except OSError:  # inside a container that knows few users
        user = NOBODY
        os.chown(box, user, user)
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def _open_to_all(path: str) -> bool:
    """Whether any user can come as far as the path."""
    while path not in ("", "/"):
        if not os.stat(path).st_mode & 0o001 and os.path.isdir(path):
            return False
        path = os.path.dirname(path)
    return True
