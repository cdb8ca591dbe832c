"""Stories read back, and their quality counts what the prompt asked for."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymlops.data.world_stories import (
    ANIMALS,
    OBSTACLES,
    PROMPT,
    RESOLUTIONS,
    THINGS,
    draw_story,
    parse_story,
    parse_story_prompt,
    render_story,
    story_documents,
    story_prompts,
    story_quality,
)


@st.composite
def stories(draw: st.DrawFn, care: float = 0.5):
    animal, thing = draw(st.sampled_from(ANIMALS)), draw(st.sampled_from(THINGS))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    story = draw_story(animal, thing, care, rng)
    return PROMPT.format(animal=animal, thing=thing), story, render_story(story, rng)


@given(stories())
def test_every_story_reads_back(written):
    _, story, text = written
    assert parse_story(f"\n{text} ") == story
    assert 4 <= text.count(".") <= 6


@given(stories(), stories())
def test_damaged_stories_do_not_parse(first, second):
    text = first[2]
    sentences = re.split(r"(?<=\.) ", text)
    for wreck in (
        "",
        text[:-1],
        text + " ok",
        f"{text} {second[2]}",
        " ".join(sentences[1:]),
        " ".join(sentences[::-1]),
    ):
        assert parse_story(wreck) is None


@given(stories(care=1.0))
def test_a_careful_story_has_quality_1(written):
    prompt, _, text = written
    assert story_quality(prompt, text) == pytest.approx(1.0)


@given(stories(care=0.5))
def test_quality_counts_what_is_coherent(written):
    prompt, story, text = written
    animal, thing = parse_story_prompt(prompt)
    share = np.mean([name == animal for name in story.animals])
    fits = story.resolution in OBSTACLES[story.obstacle]
    assert story_quality(prompt, text) == pytest.approx(0.4 * share + 0.3 * (story.thing == thing) + 0.3 * fits)


def test_nothing_else_has_quality():
    prompt, text = next(story_documents(np.random.default_rng(0)))
    assert story_quality("tell me something", text) == 0
    assert story_quality(prompt, "once there was nothing.") == 0


def test_prompts_come_by_seed_and_cover_every_pair():
    assert story_prompts(1, 30) == story_prompts(1, 30) != story_prompts(2, 30)
    assert len(set(story_prompts(1, 64))) == 64
    assert len(story_prompts(1, 130)) == 130
    assert all(parse_story_prompt(prompt) for prompt in story_prompts(1, 64))
    assert parse_story_prompt("Write a story about a dragon and a rope.") is None
    assert story_prompts(1, 0) == []


def test_plots_vary_and_are_about_45_words():
    rng = np.random.default_rng(0)
    plots = [draw_story("fox", "rope", 1.0, rng) for _ in range(500)]
    assert len(set(plots)) > 450
    assert 38 <= np.mean([len(render_story(plot, rng).split()) for plot in plots]) <= 50


def test_each_resolution_fits_one_obstacle():
    assert len(set(RESOLUTIONS)) == len(RESOLUTIONS) == 3 * len(OBSTACLES)
