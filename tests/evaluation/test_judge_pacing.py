"""Pace, back-off and Retry-After, on a clock of the test's own."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymlops.evaluation.judge_pacing import Pacer, StopAskingError, backoff_seconds, retry_after_seconds

NOW = datetime(2030, 5, 1, 12, 0, 0, tzinfo=UTC)


class Clock:
    """A clock that only waiting moves."""

    def __init__(self):
        self.now, self.stopped = 100.0, False

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds
        return self.stopped


def starts(pacer, clock, count):
    times = []
    for _ in range(count):
        pacer.wait()
        times.append(clock.now)
    return times


def test_calls_start_at_an_even_pace():
    clock = Clock()
    assert starts(Pacer(30, clock, clock), clock, 4) == [100, 102, 104, 106]


def test_idle_time_is_not_saved_up():
    clock = Clock()
    pacer = Pacer(30, clock, clock)
    assert starts(pacer, clock, 1) == [100]
    clock.now = 200
    assert starts(pacer, clock, 3) == [200, 202, 204]


def test_nobody_calls_while_the_server_asked_for_quiet():
    clock = Clock()
    pacer = Pacer(60, clock, clock)
    pacer.hold(10)
    pacer.hold(5)
    assert starts(pacer, clock, 3) == [110, 111, 112]  # and nobody makes up for the time


def test_who_waited_already_when_the_server_asked_waits_on():
    clock = Clock()
    pacer = Pacer(60, clock, clock)
    pacer.wait()
    waited = clock.wait

    def wait(seconds):
        clock.wait = waited
        pacer.hold(30)
        return waited(seconds)

    clock.wait = wait
    assert starts(pacer, clock, 1) == [130]


def test_a_stop_ends_every_wait():
    clock, stop = Clock(), threading.Event()
    pacer = Pacer(0.001, stop)
    pacer.wait()
    stop.set()
    with pytest.raises(StopAskingError):
        pacer.wait()
    clock.stopped = True
    with pytest.raises(StopAskingError):
        Pacer(60, clock, clock).sleep(1)


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        (None, None, None),
        ("7", None, 7.0),
        ("0", None, 0.0),
        ("1.5", None, 1.5),
        ("-3", None, 0.0),
        ("soon", None, None),
        ("nan", None, None),
        ("inf", None, None),
        ("", None, None),
        (format_datetime(NOW + timedelta(seconds=40), usegmt=True), None, 40.0),
        (format_datetime(NOW - timedelta(seconds=40), usegmt=True), None, 0.0),
        ("Wed, 01 May 2030 12:01:00 GMT", "Wed, 01 May 2030 12:00:45 GMT", 15.0),  # by the server's own clock
        ("Wed, 01 May 2030 12:01:00 GMT", "nonsense", 60.0),
        ("Wed, 01 May 2030 12:01:00 -0000", None, 60.0),
        ("Fri, 99 Foo 2030", None, None),
    ],
)
def test_retry_after_is_a_number_or_a_date(value, date, seconds):
    assert retry_after_seconds(value, date, NOW) == seconds


@given(st.text(), st.none() | st.text())
def test_any_header_is_read_without_failing(value, date):
    found = retry_after_seconds(value, date, NOW)
    assert found is None or found >= 0


@given(st.integers(1, 500), st.text())
def test_back_off_doubles_up_to_the_most(attempt, key):
    wait = backoff_seconds(0.5, attempt, 30, key)
    full = min(30, 0.5 * 2.0 ** (attempt - 1))
    assert full / 2 <= wait < full
    assert wait == backoff_seconds(0.5, attempt, 30, key)
