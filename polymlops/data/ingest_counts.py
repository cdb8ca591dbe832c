"""Likes and dates as people's exports write them."""

from __future__ import annotations

import datetime
import math
import re
from decimal import Decimal, InvalidOperation
from typing import Any

LARGEST_COUNT = 10**15
SCALES = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9}
GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?:[, \u00a0\u202f][0-9]{3})+(?:\.0*)?")
SCALED = re.compile(r"([+-]?[0-9]{1,16}(?:[.,][0-9]{1,9})?)\s?([KMB]?)", re.IGNORECASE)
NOTHING = frozenset({"", "nan", "null", "none", "n/a", "na", "-"})
SECONDS = re.compile(r"[0-9]{9,13}(?:\.[0-9]+)?")
MILLISECONDS_FROM = 10**11  # seconds would be the year 5138
UTC = datetime.UTC


def parse_count(value: Any) -> int | float | None:
    """A cell as a whole number, negative ones included; None where there is nothing, NaN where it is no count.

    `1.2K`, `3M`, `1,234` and `12.0` are counts; `1.5` is not, nor is anything above 10^15.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        return math.nan
    if isinstance(value, int):
        return value if abs(value) <= LARGEST_COUNT else math.nan
    if isinstance(value, str):
        return _written_count(value.strip())
    try:
        number = Decimal(value)
    except (TypeError, ValueError, InvalidOperation):
        return math.nan
    return None if number.is_nan() else _whole(number)


def parse_date(value: Any) -> str | None:
    """A cell as an ISO date and time in UTC, to the second; None where it is none."""
    try:
        if isinstance(value, str) and not SECONDS.fullmatch(value.strip()):
            moment = datetime.datetime.fromisoformat(value.strip())
        elif isinstance(value, datetime.datetime):
            moment = value
        elif isinstance(value, datetime.date):
            moment = datetime.datetime(value.year, value.month, value.day, tzinfo=UTC)
        else:
            seconds = float(value)
            seconds = seconds / 1000 if seconds >= MILLISECONDS_FROM else seconds
            moment = datetime.datetime.fromtimestamp(seconds, UTC)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")  # strftime does not pad years before 1000


def _written_count(text: str) -> int | float | None:
    if text.isascii() and text.isdigit() and len(text) <= 15:
        return int(text)
    if text.casefold() in NOTHING:
        return None
    if GROUPED.fullmatch(text):
        return _whole(Decimal(re.sub(r"[, \u00a0\u202f]", "", text)))
    match = SCALED.fullmatch(text)
    if match is None:
        return math.nan
    digits, scale = match.groups()
    if "," in digits and not scale:  # 1,5 without a unit is a fraction in half of the world
        return math.nan
    return _whole(Decimal(digits.replace(",", ".")) * SCALES[scale.upper()])


def _whole(number: Decimal) -> int | float:
    """The number where it is whole and not too large, else NaN."""
    if not number.is_finite() or abs(number) > LARGEST_COUNT or number != number.to_integral_value():
        return math.nan
    return int(number)
