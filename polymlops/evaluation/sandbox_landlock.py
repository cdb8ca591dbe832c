"""Landlock: which files a process may read, which folder it may write, no TCP, no signals out of its domain."""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Sequence

from polymlops.evaluation.sandbox_kernel import LANDLOCK_ADD, LANDLOCK_CREATE, LANDLOCK_RESTRICT, PreparedCall, call

READ_FILE, READ_FOLDER, WRITE_FILE, TRUNCATE = 1 << 2, 1 << 3, 1 << 1, 1 << 14
EXECUTE = 1 << 0
READING = READ_FILE | READ_FOLDER
FILE_BITS = READ_FILE | WRITE_FILE | TRUNCATE | EXECUTE | 1 << 15
FROM_ABI = {1: 1 << 13, 2: 1 << 14, 3: 1 << 15, 5: 1 << 16}  # file rights known from each version on, below this bit
NETWORK_ABI, SCOPE_ABI = 4, 6
BOTH = 3  # bind and connect; abstract sockets and signals


def version() -> int:
    """Landlock's version in this kernel. Raises: OSError where there is none."""
    return call("landlock_create_ruleset", LANDLOCK_CREATE, None, 0, 1)


def ruleset(readable: Sequence[str], writable: str, devices: Sequence[str]) -> int:
    """A file descriptor of rules: trees that may be read, one that may be written too, devices for both.

    Everything else is refused; executing a file, always. Paths that are not there are passed over.

    Raises: OSError where the kernel has no Landlock.
    """
    abi = version()
    known = max(bits for since, bits in FROM_ABI.items() if since <= abi) - 1
    handled = struct.pack("<QQQ", known, BOTH if abi >= NETWORK_ABI else 0, BOTH if abi >= SCOPE_ABI else 0)
    size = 24 if abi >= SCOPE_ABI else 16 if abi >= NETWORK_ABI else 8
    rules = call("landlock_create_ruleset", LANDLOCK_CREATE, ctypes.create_string_buffer(handled, 24), size, 0)
    for path in readable:
        _allow(rules, path, READING)
    _allow(rules, writable, known & ~EXECUTE)
    for path in devices:
        _allow(rules, path, known & (READ_FILE | WRITE_FILE | TRUNCATE))
    return rules


def restriction(rules: int) -> PreparedCall:
    """The call that holds its process to the rules, for good; it needs no_new_privs."""
    return PreparedCall("landlock_restrict_self", LANDLOCK_RESTRICT, rules, 0)


def _allow(rules: int, path: str, bits: int) -> None:
    try:
        target = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not stat.S_ISDIR(os.fstat(target).st_mode):
        bits &= FILE_BITS
    rule = ctypes.create_string_buffer(struct.pack("<Qi", bits, target), 12)
    try:
        call("landlock_add_rule", LANDLOCK_ADD, rules, 1, rule, 0)
    finally:
        os.close(target)
