import datetime
import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polymlops.data.ingest_counts import LARGEST_COUNT, parse_count, parse_date

UNTIMED = settings(deadline=None)


@UNTIMED
@given(st.integers(-LARGEST_COUNT, LARGEST_COUNT))
def test_a_count_is_read_in_whatever_way_it_is_written(count):
    for written in (count, str(count), f" {count} ", f"{count:,}", f"{count}.0", Decimal(count)):
        assert parse_count(written) == count
    assert parse_count(float(count)) == int(float(count))


@UNTIMED
@given(st.integers(-10_000, 10_000), st.sampled_from("KMB"))
def test_units_scale_tenths_exactly(tenths, unit):
    scale = {"K": 1000, "M": 10**6, "B": 10**9}[unit]
    for written in (
        f"{tenths / 10:.1f}{unit}",
        f"{tenths / 10:.1f} {unit.lower()}",
        f"{tenths / 10:.1f}{unit}".replace(".", ","),
    ):
        assert parse_count(written) == tenths * scale // 10


@UNTIMED
@given(st.one_of(st.text(), st.floats(), st.booleans(), st.binary(), st.lists(st.integers())))
def test_any_cell_is_a_count_or_none_or_nan(value):
    found = parse_count(value)
    assert found is None or isinstance(found, int) or math.isnan(found)


@pytest.mark.parametrize("value", [None, math.nan, "", "  ", "NaN", "null", "N/A", "-", np.float64("nan")])
def test_nothing_is_none(value):
    assert parse_count(value) is None


@pytest.mark.parametrize(
    "value", [1.5, "1.5", "1,5", True, "=A2*2", "1.23456K", "ten", "1e3", 10**16, math.inf, [1], "12,34,567"]
)
def test_what_is_no_count_is_nan(value):
    assert math.isnan(parse_count(value))


@UNTIMED
@given(st.datetimes(min_value=datetime.datetime(1975, 1, 1), max_value=datetime.datetime(2100, 1, 1)))
def test_a_moment_is_the_same_in_every_notation(moment):
    moment = moment.replace(microsecond=0, tzinfo=datetime.UTC)
    seconds = int(moment.timestamp())
    there = moment.astimezone(datetime.timezone(datetime.timedelta(hours=-7)))
    notations = (moment, there, there.isoformat(), seconds, str(seconds), seconds * 1000, float(seconds))
    assert {parse_date(value) for value in notations} == {moment.strftime("%Y-%m-%dT%H:%M:%S")}


@UNTIMED
@given(st.one_of(st.text(), st.floats(), st.integers(), st.binary(), st.booleans(), st.datetimes()))
def test_any_cell_is_a_date_or_none(value):
    found = parse_date(value)
    assert found is None or datetime.datetime.fromisoformat(found)


def test_a_day_without_a_time_is_its_midnight():
    assert parse_date("2024-02-29") == parse_date(datetime.date(2024, 2, 29)) == "2024-02-29T00:00:00"
    assert parse_date("29.2.2024") is None
