"""When the next call may start: a steady rate, waits that a server asks for, back-off."""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from polymlops.errors import StageError

HALF = 0.5


class StopAskingError(StageError):
    """No further question may be asked; what is under way ends, what is left is `unasked`, with this reason."""


class Pacer:
    """Starts of calls, at most so many a minute, shared by all threads; none while the server asked for quiet."""

    def __init__(self, per_minute: float, stop: threading.Event, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 60 / per_minute
        self._stop = stop
        self._clock = clock
        self._lock = threading.Lock()
        self._next = clock()
        self._quiet_until = -math.inf

    def hold(self, seconds: float) -> None:
        """Let no call start for so long."""
        with self._lock:
            self._quiet_until = max(self._quiet_until, self._clock() + seconds)

    def wait(self) -> None:
        """Return when a call may start.

        Raises:
            StopAskingError: the judging was stopped meanwhile.
        """
        while True:
            with self._lock:
                start = max(self._clock(), self._next, self._quiet_until)
                self._next = start + self._interval
            self.sleep(start - self._clock())
            if self._clock() >= self._quiet_until:  # else the server asked meanwhile: take a later place
                return

    def sleep(self, seconds: float) -> None:
        """Wait, alone. Raises StopAskingError at once where the judging is stopped."""
        if self._stop.wait(max(0.0, seconds)):
            raise StopAskingError("the judging was stopped")


def retry_after_seconds(value: str | None, date: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or as a date; None where it is missing or unreadable.

    A date counts from the server's own `Date`, where that can be read, so that a wrong clock on either side does no
    harm; a past date is 0.

    Source: RFC 9110, section 10.2.3.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        until = http_date(value)
        return None if until is None else max(0.0, (until - (http_date(date) or now)).total_seconds())
    return max(0.0, seconds) if math.isfinite(seconds) else None


def http_date(value: str | None) -> datetime | None:
    """A date of an HTTP header, or None."""
    if value is None:
        return None
    try:
        found = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def backoff_seconds(first: float, attempt: int, most: float, key: str) -> float:
    """Wait before further try `attempt` (from 1): `first`, doubled each time, by the key's own factor in [.5, 1)."""
    fraction = int.from_bytes(hashlib.sha256(f"{key}:{attempt}".encode()).digest()[:4], "big") / 2**32
    return min(most, first * 2.0 ** min(attempt - 1, 62)) * (HALF + HALF * fraction)
