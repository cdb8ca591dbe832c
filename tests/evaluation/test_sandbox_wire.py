"""What crosses the wire comes out as it went in; what does not is refused; no bytes do anything else."""

import math
import re
import struct
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymlops.evaluation.sandbox_wire import MAX_DEPTH, WireError, decode, encode

LIMIT = 2**20
ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(st.characters(exclude_categories=())),
    st.binary(),
    st.builds(range, st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 4)),
    st.just(...),
)
HASHABLE = st.recursive(ATOMS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=4), max_leaves=6)
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=5).map(tuple),
        st.lists(inner, max_size=5).map(deque),
        st.sets(HASHABLE, max_size=5),
        st.dictionaries(HASHABLE, inner, max_size=5),
        st.dictionaries(HASHABLE, inner, max_size=5).map(OrderedDict),
        st.binary().map(bytearray),
    ),
    max_leaves=25,
)


def exact(value):
    """A description in which values of different types, zeros of different signs and NaNs differ."""
    if isinstance(value, float):
        return "float", struct.pack("<d", value) if not math.isnan(value) else "nan"
    if isinstance(value, complex):
        return "complex", exact(value.real), exact(value.imag)
    if isinstance(value, dict):
        return type(value), [(exact(key), exact(item)) for key, item in value.items()]
    if isinstance(value, (set, frozenset)):
        return type(value), sorted(map(repr, map(exact, value)))
    if isinstance(value, (list, tuple, deque)):
        return type(value), [exact(item) for item in value]
    return type(value), value


@given(VALUES)
def test_values_come_out_as_they_went_in(value):
    assert exact(decode(encode(value, LIMIT))) == exact(value)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_an_error(data):
    try:
        value = decode(data, lambda number, name: (number, name))
    except WireError:
        return
    assert exact(decode(encode(value, LIMIT))) == exact(value)


@given(VALUES, st.data())
def test_damaged_bytes_are_a_value_or_an_error(value, data):
    good = bytearray(encode(value, LIMIT))
    good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode(bytes(good))
    except WireError:
        return
    assert isinstance(encode(decoded, 2 * LIMIT), bytes)


@given(VALUES, st.integers(0, 60))
def test_no_value_is_longer_than_the_limit(value, limit):
    size = len(encode(value, LIMIT))
    if size <= limit:
        assert len(encode(value, limit)) == size
    else:
        with pytest.raises(WireError, match="too large"):
            encode(value, limit)


def test_subclasses_cross_as_their_content():
    class Strange(list):
        def __iter__(self):
            raise SystemExit

        def __eq__(self, other):
            return True

        __hash__ = None

    point = namedtuple("point", "x y")
    assert exact(decode(encode(Strange([1, 2]), LIMIT))) == exact([1, 2])
    assert exact(decode(encode(point(1, 2), LIMIT))) == exact((1, 2))
    assert type(decode(encode(Counter("aab"), LIMIT))) is Counter
    assert decode(encode(Counter("aab"), LIMIT)) == {"a": 2, "b": 1}
    assert type(decode(encode(defaultdict(int, a=1), LIMIT))) is defaultdict
    assert decode(encode([int, list, type(None)], LIMIT)) == [int, list, type(None)]


@pytest.mark.parametrize("value", [re.compile("a"), print, iter([1]), object(), open, lambda: 1])
def test_other_kinds_do_not_cross_by_content(value):
    with pytest.raises(WireError, match="does not cross"):
        encode(value, LIMIT)
    assert decode(encode([value], LIMIT, lambda _: 7), lambda number, name: (number, name)) == [
        (7, type(value).__name__)
    ]


def test_depth_is_bounded_on_both_sides():
    value = deep = []
    for _ in range(MAX_DEPTH + 1):
        deep.append([])
        deep = deep[0]
    with pytest.raises(WireError, match="deeper"):
        encode(value, LIMIT)
    with pytest.raises(WireError):
        decode(b"l\x01\x00\x00\x00" * 100_000)


def test_numbers_and_arrays_of_numpy_cross():
    values = [np.arange(6).reshape(2, 3), np.float32(0.5), np.int64(-3), np.bool_(True), np.array([1 + 2j])]
    for value, back in zip(values, decode(encode(values, LIMIT)), strict=True):
        assert type(back) is type(value)
        assert np.array_equal(back, value)
    with pytest.raises(WireError, match="does not cross"):
        encode(np.array([object()]), LIMIT)
    with pytest.raises(WireError):
        decode(b"n" + encode(("|O8", (1,), b"\0" * 8), LIMIT))
    with pytest.raises(WireError):
        decode(b"n" + encode(("<i8", (2**40,), b"\0" * 8), LIMIT))
