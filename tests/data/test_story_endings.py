"""Continuations come back as they were told, and their quality is what it is said to be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polymlops.data.story_endings import (
    Continuation,
    Opening,
    continuation_quality,
    ending_preference,
    parse_continuation,
    render_continuation,
)
from polymlops.data.world_stories import ANIMALS, ENDINGS, HELPERS, OBSTACLES, RESOLUTIONS, THINGS

TOLD = st.builds(
    Continuation,
    helper=st.none() | st.sampled_from(HELPERS),
    thing=st.sampled_from(THINGS),
    resolution=st.sampled_from(RESOLUTIONS),
    ender=st.sampled_from(ANIMALS),
    ending=st.sampled_from(ENDINGS),
)
OPENING = Opening("p", "once ...", "fox", "the gate was locked", 2, "c00")


@settings(deadline=None)
@given(TOLD, st.integers(0, 1000))
def test_what_is_told_is_read_back(told, seed):
    assert parse_continuation(render_continuation(told, np.random.default_rng(seed))) == told


@settings(deadline=None)
@given(TOLD, st.integers(0, 1000), st.data())
def test_what_is_cut_glued_or_spoilt_is_no_continuation(told, seed, data):
    text = render_continuation(told, np.random.default_rng(seed))
    cut = data.draw(st.integers(0, len(text) - 1))
    assert parse_continuation(text[:cut]) is None
    assert parse_continuation(f"{text} {text}") is None
    assert parse_continuation(f"{text} x") is None


@settings(deadline=None)
@given(st.text())
def test_any_text_has_a_quality(text):
    assert 0 <= continuation_quality(OPENING, text) <= 1


@pytest.mark.parametrize(
    ("resolution", "ender", "ending", "quality"),
    [
        ("find the key", "fox", ENDINGS[2], 1.0),
        ("find the key", "fox", ENDINGS[3], 1.0),
        ("find the key", "fox", ENDINGS[5], 0.8),
        ("find the key", "fox", ENDINGS[0], 0.6),
        ("ring the bell", "fox", ENDINGS[2], 0.7),
        ("find the key", "bear", ENDINGS[2], 0.8),
        ("ring the bell", "bear", ENDINGS[1], 0.1),
    ],
)
def test_quality_is_preference_fit_and_the_same_hero(resolution, ender, ending, quality):
    told = Continuation(None, "rope", resolution, ender, ending)
    text = render_continuation(told, np.random.default_rng(0))
    assert continuation_quality(OPENING, text) == pytest.approx(quality)


def test_every_taste_loves_two_likes_two_and_is_cool_to_two():
    for taste in range(len(ENDINGS)):
        values = sorted(ending_preference(taste, ending) for ending in ENDINGS)
        assert values == [0.2, 0.2, 0.6, 0.6, 1.0, 1.0]
    assert {len(ways) for ways in OBSTACLES.values()} == {3}
