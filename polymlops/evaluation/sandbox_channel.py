"""Messages on a file descriptor: four bytes of length, then that many bytes. Standard library only."""

from __future__ import annotations

import os

from polymlops.evaluation.sandbox_wire import SIZE, WireError


def send(channel: int, data: bytes) -> None:
    """Write one framed message to a file descriptor."""
    view = memoryview(SIZE.pack(len(data)) + data)
    while view:
        view = view[os.write(channel, view) :]


def receive(channel: int, limit: int) -> bytes:
    """Read one framed message.

    Raises:
        EOFError: the other side is gone, perhaps in the middle of it.
        WireError: it announces more than `limit` bytes; what follows is not read.
    """
    (size,) = SIZE.unpack(_exactly(channel, SIZE.size))
    if size > limit:
        raise WireError(f"a message of {size} bytes, above {limit}")
    return _exactly(channel, size)


def _exactly(channel: int, size: int) -> bytes:
    parts = []
    while size:
        try:
            part = os.read(channel, min(size, 2**20))
        except ConnectionResetError:
            part = b""
        if not part:
            raise EOFError("the other side is gone")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
