"""Ranked replies: as many as asked, best first, and dependent on post, seed and settings alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from registry_parts import SAMPLING, make_adapter

from polymlops.config.rewards import HeuristicRewardConfig
from polymlops.errors import InputError
from polymlops.tracking.ranked_replies import HubBase, RankedReplies, ReplySettings, load_ranked_replies, posts_of
from polymlops.training.rewards import HeuristicReward

POSTS = ["my cat sleeps all day.", "who else grows tomatoes on a balcony?", "mondays."]


@pytest.fixture(scope="module")
def adapter(small_base, tmp_path_factory):
    return make_adapter(small_base, tmp_path_factory.mktemp("adapter"))


@pytest.fixture(scope="module")
def replies(small_base, adapter):
    return RankedReplies.load(small_base, adapter, None, ReplySettings.of(SAMPLING))


def test_every_post_gets_k_replies_with_the_best_first(replies):
    ranked = replies.rank(POSTS, {"k": 4})
    assert [item.post for item in ranked] == [post for post in POSTS for _ in range(4)]
    assert [item.rank for item in ranked] == [1, 2, 3, 4] * 3
    scores = np.array([item.score for item in ranked]).reshape(3, 4)
    assert (np.diff(scores) <= 0).all()
    assert scores.std() > 0


def test_scores_are_those_of_the_reward(replies):
    ranked = replies.rank(POSTS)
    reward = HeuristicReward(HeuristicRewardConfig())
    values = reward.score([item.post for item in ranked], [item.reply for item in ranked]).values
    np.testing.assert_array_equal(values, [item.score for item in ranked])


def test_a_post_gets_the_same_whatever_is_asked_with_it(replies):
    alone = [item for post in POSTS for item in replies.rank([post])]
    together = replies.rank(POSTS, {"batch": 2})
    assert together == alone == replies.rank(POSTS)


def test_seed_and_temperature_change_what_is_drawn(replies):
    texts = [{item.reply for item in replies.rank(POSTS, changes)} for changes in ({}, {"seed": 5}, {"temperature": 3})]
    assert texts[0] != texts[1]
    assert texts[0] != texts[2]


def test_a_larger_k_keeps_the_earlier_draws(replies):
    few, many = ({item.reply for item in replies.rank(POSTS[:1], {"k": k})} for k in (2, 6))
    assert few <= many


def test_the_adapter_is_at_work(replies, small_base, tmp_path):
    other = RankedReplies.load(small_base, make_adapter(small_base, tmp_path, seed=1), None, replies.settings)
    assert [item.reply for item in other.rank(POSTS)] != [item.reply for item in replies.rank(POSTS)]


def test_no_posts_get_no_replies(replies):
    assert replies.rank([]) == []


@pytest.mark.parametrize(
    ("posts", "changes", "message"),
    [
        ([""], {}, "post 0 is ''"),
        (["a", "  "], {}, "post 1 is '  '"),
        ([None], {}, "post 0 is None"),
        (["word " * 400], {}, "leaves no room for 12 more in a context of"),
        (["a"], {"k": 0}, "k = 0"),
        (["a"], {"k": 10**6}, "k = 1000000"),
        (["a"], {"temperature": 0.0}, r"temperature = 0\.0"),
        (["a"], {"temperature": float("nan")}, "temperature = nan"),
        (["a"], {"seed": -1}, "seed = -1"),
        (["a"], {"tone": 1}, "tone = 1"),
    ],
)
def test_what_cannot_be_answered_is_named(replies, posts, changes, message):
    with pytest.raises(InputError, match=message):
        replies.rank(posts, changes)


def test_a_base_may_lie_in_the_hub_cache(small_base, adapter, replies, tmp_path, monkeypatch):
    revision = "0123456789abcdef0123456789abcdef01234567"
    snapshots = tmp_path / "models--someone--tiny" / "snapshots"
    snapshots.mkdir(parents=True)
    (snapshots / revision).symlink_to(small_base)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    base = HubBase(model_id="someone/tiny", revision=revision)
    config = {"settings": replies.settings.model_dump(), "base": base.model_dump()}
    assert load_ranked_replies({"adapter": str(adapter)}, config).rank(POSTS) == replies.rank(POSTS)


@pytest.mark.parametrize("frame", [pd.DataFrame(["a", "b"]), pd.DataFrame({"post": ["a", "b"]})])
def test_posts_come_as_a_list_or_a_column(frame):
    assert posts_of(frame) == ["a", "b"]


def test_another_column_is_not_taken_for_posts():
    with pytest.raises(InputError, match="column 'author'"):
        posts_of(pd.DataFrame({"author": ["a"]}))
