"""Framed messages: however the bytes arrive, the same messages come out, and none that is too long is read."""

import os
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymlops.evaluation.sandbox_channel import Inbox, receive, send
from polymlops.evaluation.sandbox_wire import SIZE, WireError

LIMIT = 2**20
READERS = [receive, lambda channel, limit: Inbox(channel).receive(limit)]


@contextmanager
def pipe():
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0), open(writing, "wb", buffering=0) as sender:
        yield reading, sender


def complete(messages, size):
    """How many messages are whole in so many bytes."""
    ends = [sum(len(message) + SIZE.size for message in messages[: count + 1]) for count in range(len(messages))]
    return sum(end <= size for end in ends)


@given(st.lists(st.binary(max_size=200), max_size=8), st.integers(1, 300))
def test_messages_come_out_whole_and_in_order_whatever_parts_they_come_in(messages, part):
    data = b"".join(SIZE.pack(len(message)) + message for message in messages)
    with pipe() as (reading, sender):
        inbox, found = Inbox(reading), []
        for at in range(0, len(data), part):
            sender.write(data[at : at + part])
            while len(found) < complete(messages, at + part):
                found.append(inbox.receive(LIMIT))
        sender.close()
        with pytest.raises(EOFError):
            inbox.receive(LIMIT)
    assert found == messages


def test_a_message_longer_than_a_read_comes_whole():
    long = bytes(range(256)) * 200
    with pipe() as (reading, sender):
        for message in (b"before", long, b"after"):
            send(sender.fileno(), message)
        inbox = Inbox(reading)
        assert [inbox.receive(LIMIT) for _ in range(3)] == [b"before", long, b"after"]


@pytest.mark.parametrize("read", READERS)
def test_a_message_above_the_limit_is_refused(read):
    with pipe() as (reading, sender):
        sender.write(SIZE.pack(11) + b"x" * 11)
        with pytest.raises(WireError, match="11 bytes, above 10"):
            read(reading, 10)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("said", [b"", b"\x05", SIZE.pack(5), SIZE.pack(5) + b"x"])
def test_a_message_that_is_cut_off_is_an_end(read, said):
    with pipe() as (reading, sender):
        sender.write(said)
        sender.close()
        with pytest.raises(EOFError):
            read(reading, 10)
