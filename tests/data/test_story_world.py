"""Openings, continuations and likes: the same for a seed, skewed as people are, and judged from the dataset alone."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from polymlops.config.schema import DataConfig
from polymlops.config.stories import StoriesSource
from polymlops.data.cleaning import REQUIRED
from polymlops.data.preparation import prepare_dataset
from polymlops.data.prompts import load_split, prompts_of
from polymlops.data.story_endings import continuation_quality, parse_continuation
from polymlops.data.story_world import MAX_OPENINGS, SKEW, StoryWorld
from polymlops.data.truth import load_truth
from polymlops.data.world_stories import ENDINGS
from polymlops.errors import InputError


@pytest.fixture(scope="module")
def world():
    return StoryWorld(3)


@pytest.fixture(scope="module")
def told(world):
    return world.interactions(world.openings(400), 6)


def test_a_seed_gives_the_same_rows_and_a_longer_list_begins_with_the_shorter(world, told):
    assert tuple(told.columns) == REQUIRED
    assert StoryWorld(3).interactions(StoryWorld(3).openings(50), 6).equals(told.head(300))
    assert not StoryWorld(4).interactions(StoryWorld(4).openings(50), 6).equals(told.head(300))
    assert told["post"].n_unique() == 400


def test_people_tell_two_endings_two_times_in_three(told):
    endings = [parse_continuation(text).ending for text in told["reply"]]
    found = np.array([endings.count(ending) / len(endings) for ending in ENDINGS])
    sd = np.sqrt(np.array(SKEW) * (1 - np.array(SKEW)) / len(endings))
    assert (abs(found - SKEW) < 4 * sd).all()


def test_likes_follow_the_truth(world, told):
    by_id = {opening.post_id: opening for opening in world.openings(400)}
    quality = [continuation_quality(by_id[row["post_id"]], row["reply"]) for row in told.iter_rows(named=True)]
    assert np.corrcoef(quality, np.log1p(told["likes"]))[0, 1] > 0.8


def test_a_prepared_dataset_splits_by_opening_and_knows_its_truth(make_job):
    job = make_job("stories")
    prepare_dataset(DataConfig(source=StoriesSource(posts=160, replies_per_post=4)), job)
    truth = load_truth(job.output)
    assert truth.version == "story-quality-1>=0.75"
    row = load_split(job.output, "test").row(0, named=True)
    verdict = truth.judge(row["post_id"], row["reply"])
    assert verdict.well_formed
    assert verdict.intent in ENDINGS
    assert verdict.passed == (verdict.quality >= 0.75)
    assert not truth.judge(prompts_of(job.output, "test", 1, 0)[0].prompt_id, "no story").well_formed
    assert pl.read_parquet(job.output / "truth.parquet").height == 160
    with pytest.raises(InputError, match="no post of this dataset"):
        truth.judge("w7-p00000", "text")


def test_more_openings_than_there_are_texts_are_refused(world):
    with pytest.raises(InputError, match=str(MAX_OPENINGS)):
        world.openings(MAX_OPENINGS + 1)
