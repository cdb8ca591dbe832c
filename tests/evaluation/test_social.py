"""Scores of social replies against values worked out by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from polymlops.config.slices import ScoreSpec
from polymlops.data.prompts import prompts_of
from polymlops.data.truth import load_truth
from polymlops.data.world import INTENTS, ParsedReply, render_reply
from polymlops.data.world_language import REGISTER_OF_TONE, preference
from polymlops.errors import InputError
from polymlops.evaluation.social import SocialInputs, score_samples
from polymlops.generation.sampling import SCHEMA

SPEC = ScoreSpec(arm="baseline", seed=42, ks=(1, 4))


@pytest.fixture
def post(small_dataset):
    prompt = prompts_of(small_dataset, "test", 1, 0)[0]
    return load_truth(small_dataset).posts[prompt.prompt_id]


@pytest.fixture
def score(small_base, small_dataset, make_job):
    def run(post_id, texts):
        samples, job = make_job("samples"), make_job("scores")
        rows = [
            ("baseline", 42, "social", post_id, i, "the post", text, 10, -5.0, 1.0, "stop")
            for i, text in enumerate(texts)
        ]
        pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(samples.output / "samples.parquet")
        metrics = score_samples(SPEC, SocialInputs(samples.output, small_dataset, small_base), job)
        return metrics, *(pl.read_parquet(job.output / f"{name}.parquet") for name in ("scores", "diversity"))

    return run


def reply(post, intent):
    parsed = ParsedReply(intent, post.topic, post.item, REGISTER_OF_TONE[post.tone])
    return render_reply(parsed, np.random.default_rng(0))


def test_known_texts_get_their_known_scores(score, post):
    by_taste = sorted(INTENTS, key=lambda intent: -preference(post.taste, intent))
    loved, disliked = by_taste[0], by_taste[-1]
    texts = [reply(post, loved), reply(post, disliked), "no sentence of this world", reply(post, loved)]
    metrics, scores, diversity = score(post.post_id, texts)
    assert scores["quality"].to_list() == pytest.approx([1.0, 0.6, 0.0, 1.0])
    assert scores["passed"].to_list() == [True, False, False, True]
    assert scores["intent"].to_list() == [loved, disliked, None, loved]
    assert scores["well_formed"].to_list() == [True, True, False, True]
    assert scores["selector_logprob"].to_list() == [-0.5] * 4
    assert diversity["distinct_intents"].to_list() == [2.0]
    assert diversity["unique_share"].to_list() == [0.75]
    assert metrics["social/pass_at_1"] == pytest.approx(0.5)
    assert metrics["social/pass_at_4"] == pytest.approx(1.0)
    assert metrics["social/quality"] == pytest.approx(2.6 / 4)
    assert metrics["social/distinct_intents_at_1"] == pytest.approx(3 / 4)
    assert metrics["social/distinct_intents_at_4"] == pytest.approx(2.0)


def test_samples_of_another_dataset_are_refused(score):
    with pytest.raises(InputError, match="no post of this dataset"):
        score("w999-p00000", ["a", "b", "c", "d"])


def test_usq_is_the_quality_of_what_a_selector_picks(score, post):
    by_taste = sorted(INTENTS, key=lambda intent: -preference(post.taste, intent))
    long, short = sorted((reply(post, by_taste[0]), reply(post, by_taste[-1])), key=len, reverse=True)
    metrics, scores, _ = score(post.post_id, [long, short, "no", "so"])
    picked = dict(zip([long, short], scores["quality"], strict=False))[long]
    assert metrics["social/usq_length_at_4"] == pytest.approx(picked)  # the longest of all four
