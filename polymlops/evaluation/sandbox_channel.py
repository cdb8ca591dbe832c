"""Messages on a file descriptor: four bytes of length, then that many bytes. Standard library only."""

from __future__ import annotations

import os

from polymlops.evaluation.sandbox_wire import SIZE, WireError

CHUNK = 16 * 1024


def send(channel: int, data: bytes) -> None:
    """Write one framed message to a file descriptor."""
    view = memoryview(SIZE.pack(len(data)) + data)
    while view:
        view = view[os.write(channel, view) :]


class Inbox:
    """Messages that come in on a file descriptor; what came with one message is there for the next."""

    def __init__(self, channel: int) -> None:
        self._channel = channel
        self._data = b""
        self._at = 0

    def receive(self, limit: int) -> bytes:
        """The next message. Raises: as the function `receive`."""
        while len(self._data) - self._at < SIZE.size:
            self._data = self._data[self._at :] + _some(self._channel, CHUNK)
            self._at = 0
        (size,) = SIZE.unpack_from(self._data, self._at)
        if size > limit:
            raise WireError(f"a message of {size} bytes, above {limit}")
        start = self._at + SIZE.size
        self._at = start + size
        data = self._data[start : self._at]
        return data if len(data) == size else data + self._rest(size - len(data))

    def _rest(self, size: int) -> bytes:
        self._data, self._at = b"", 0
        return _exactly(self._channel, size)


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
        part = _some(channel, min(size, 2**20))
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _some(channel: int, most: int) -> bytes:
    try:
        part = os.read(channel, most)
    except ConnectionResetError:
        part = b""
    if not part:
        raise EOFError("the other side is gone")
    return part
