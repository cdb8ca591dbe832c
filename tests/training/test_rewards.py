"""Rewards: documented components in [0, 1], junk below people, errors that name the component, never a silent 0."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from polymlops.config.rewards import (
    CompositeRewardConfig,
    HeuristicRewardConfig,
    LearnedRewardConfig,
    RewardConfig,
    RewardModelConfig,
)
from polymlops.data.world import World
from polymlops.errors import InputError, TrainingError
from polymlops.models.encoder import embed, load_encoder
from polymlops.records import Job
from polymlops.training.reward_model import train_reward_model
from polymlops.training.rewards import CompositeReward, HeuristicReward, RewardScores, build_reward
from polymlops.training.text_shape import echo_share, is_odd, plain_share, repeated_share

POST = "today the grinder took over my whole coffee routine. i am so tired of it. let your mind wander with us."
REPLY = "dear friend, always check the grinder twice before coffee on monday."
GIBBERISH = ("qxzv wkrt bnmp lkjh dfgs zzzq", "uvobe ikaro xqopa wemi duzzo lapiq", "a1b2c3d4 e5f6g7h8 x9y8z7w6")


@pytest.fixture(scope="module")
def folder(small_base, small_dataset, tmp_path_factory):
    job = tmp_path_factory.mktemp("reward")
    (job / "output").mkdir()
    config = RewardModelConfig(candidates=("frozen",), folds=2, references=2, resamples=100, validate=False)
    train_reward_model(config, small_base, small_dataset, Job(job / "output", job, lambda m, s: None))
    return job / "output"


@pytest.fixture(scope="module")
def encode(small_base):
    return partial(embed, load_encoder(small_base / "encoder"))


@pytest.fixture(scope="module", params=["heuristic", "heuristic with encoder", "learned", "composite"])
def reward(request, folder, encode):
    configs = {"heuristic": HeuristicRewardConfig, "learned": LearnedRewardConfig, "composite": CompositeRewardConfig}
    kind = request.param.split()[0]
    return build_reward(configs[kind](), folder, encode if kind == "composite" or "encoder" in request.param else None)


@pytest.fixture(scope="module")
def human():
    world = World(2026)
    return world.interactions(world.posts(20), 6)


def test_junk_scores_below_the_median_human_reply_to_every_post(reward, human):
    posts = human["post"].to_list()
    scored = human.with_columns(value=reward.score(posts, human["reply"].to_list()).values)
    for (post,), rows in scored.group_by("post"):
        first = rows["reply"][0]
        echoes = [post, post.split(".")[0] + ".", f"{post} {post}"]
        junk = [*GIBBERISH, "", " \n", "!!! ... ???", *echoes, f"{first} {first}", " ".join([first] * 5), "nice " * 12]
        values = reward.score([post] * len(junk), junk).values
        worst = int(values.argmax())
        assert values[worst] < rows["value"].median(), junk[worst]


def test_batch_and_single_calls_agree(reward, human):
    posts, replies = human["post"].to_list()[:20], human["reply"].to_list()[:20]
    batch = reward.score(posts, replies)
    for i in range(20):
        single = reward.score([posts[i]], [replies[i]])
        np.testing.assert_allclose(single.values, batch.values[i : i + 1], atol=1e-6)
        for name, column in batch.breakdown.items():
            np.testing.assert_allclose(single.breakdown[name], column[i : i + 1], atol=1e-6)
    assert reward.score([], []).values.shape == (0,)


def test_counts_must_match(reward):
    with pytest.raises(InputError, match="2 posts for 1 replies"):
        reward.score([POST, POST], [REPLY])


@given(st.text(max_size=60), st.text(max_size=60))
def test_every_component_lies_in_the_unit_interval(post, reply):
    scores = HeuristicReward(HeuristicRewardConfig()).score([post], [reply])
    for values in scores.breakdown.values():
        assert 0 <= values[0] <= 1


def test_components_mean_what_they_say():
    score = HeuristicReward(HeuristicRewardConfig(min_words=5, max_words=12)).score
    one = {name: values[0] for name, values in score([POST], [REPLY]).breakdown.items()}
    assert one["heuristic/relevance"] == pytest.approx(0.75)  # grinder and coffee
    assert one["heuristic/length"] == pytest.approx(1)
    assert one["heuristic/repetition"] == one["heuristic/echo"] == one["heuristic/well_formed"] == 1
    texts = ["the grinder", "one two three four five " * 3, "yes it is so. yes it is so. yes it is so."]
    found = score([POST] * 3, texts).breakdown
    np.testing.assert_allclose(found["heuristic/length"], [0.4, 0.75, 1])
    assert found["heuristic/repetition"][2] < 0.2
    assert list(score([POST], [POST]).breakdown["heuristic/relevance"]) == [0]
    weights = {"relevance": 0.4, "length": 0.15, "repetition": 0.15, "echo": 0.15, "well_formed": 0.15}
    assert one["heuristic/value"] == pytest.approx(sum(w * one[f"heuristic/{name}"] for name, w in weights.items()))


def test_shapes_of_text():
    assert repeated_share("a b c d") == 0
    assert repeated_share("a b c a b c a b c") == pytest.approx(4 / 7)
    assert echo_share("we like the old grinder here", "yes the old grinder is loud") == pytest.approx(0.5)
    assert echo_share(POST, REPLY) == 0
    assert plain_share("I've 3 well-made things, don't you?") == 1
    assert plain_share("") == 0
    assert all(is_odd(word) for word in ("bcdfgh", "aaaab", "qxzv", "a1b2c3d4", "pneumono" * 3))
    assert not any(is_odd(word) for word in ("rhythm", "tv", "2026", "strength", "naïve", "слово"))


def test_the_learned_reward_is_0_for_junk_and_1_on_average(folder, small_dataset):
    reward = build_reward(LearnedRewardConfig(), folder)
    frame = pl.read_parquet(small_dataset / "reward.parquet")
    scores = reward.score(frame["post"].to_list(), frame["reply"].to_list())
    assert scores.values.mean() == pytest.approx(1)
    assert reward.score([POST], [""]).values[0] == 0
    assert set(scores.breakdown) == {"learned/score", "learned/value"}


def test_a_composite_is_the_weighted_mean_of_its_parts(folder):
    config = TypeAdapter(RewardConfig).validate_python(
        {
            "kind": "composite",
            "parts": [
                {"weight": 0.25, "reward": {"kind": "learned"}},
                {"weight": 0.75, "reward": {"kind": "heuristic"}},
            ],
        }
    )
    found = build_reward(config, folder).score([POST], [REPLY])
    expected = 0.25 * found.breakdown["learned/value"] + 0.75 * found.breakdown["heuristic/value"]
    np.testing.assert_allclose(found.values, expected)
    np.testing.assert_allclose(found.breakdown["composite/value"], expected)
    with pytest.raises(InputError, match="needs a trained reward model"):
        build_reward(config)


@dataclass(frozen=True)
class Broken:
    values: object
    name: str = "broken"

    def score(self, posts, replies):
        if isinstance(self.values, Exception):
            raise self.values
        return RewardScores(np.array(self.values), {})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([np.nan, 1.0], "reward broken: 1 of 2 values are NaN"),
        ([1.0], r"reward broken: returned values of shape \(1,\) for 2 replies"),
        (RuntimeError("no memory"), "reward broken: failed with RuntimeError: no memory"),
    ],
)
def test_a_failed_part_is_an_error_that_names_it(values, message):
    reward = CompositeReward(((0.5, HeuristicReward(HeuristicRewardConfig())), (0.5, Broken(values))))
    with pytest.raises(TrainingError, match=message):
        reward.score([POST, POST], [REPLY, REPLY])


def test_a_failed_component_is_an_error_that_names_it():
    reward = HeuristicReward(HeuristicRewardConfig(), encode=lambda texts: np.full((len(texts), 3), np.nan))
    with pytest.raises(TrainingError, match="reward heuristic/relevance: 1 of 1 values are NaN"):
        reward.score([POST], [REPLY])


@pytest.mark.parametrize(
    "config",
    [
        {"kind": "heuristic", "weights": {"length": 0.5}},
        {"kind": "heuristic", "weights": {"charm": 1.0}},
        {"kind": "heuristic", "min_words": 9, "max_words": 3},
        {"kind": "composite", "parts": [{"weight": 0.5, "reward": {"kind": "heuristic"}}]},
        {"kind": "composite", "parts": [{"weight": 0.5, "reward": {"kind": "learned"}}] * 2},
        {"kind": "stub"},
    ],
)
def test_bad_configs_are_refused(config):
    with pytest.raises(ValidationError):
        TypeAdapter(RewardConfig).validate_python(config)
