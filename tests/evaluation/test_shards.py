"""A sample set that is cut gives, byte for byte, what it gives whole; what is done stays done."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from story_samples import stories, write_samples

from polymlops.config.creative import CreativeScoreSpec, CreativeScoring
from polymlops.config.execution import BLOCK
from polymlops.config.slices import ScoreSpec
from polymlops.data.prompts import prompts_of
from polymlops.data.truth import load_truth
from polymlops.data.world import INTENTS, ParsedReply, render_reply
from polymlops.data.world_language import REGISTER_OF_TONE
from polymlops.errors import InputError
from polymlops.evaluation.creative import CreativeInputs, score_creative
from polymlops.evaluation.shards import Shard, Sharing, cut, one_by_one
from polymlops.evaluation.social import SocialInputs, score_samples
from polymlops.generation.sampling import SCHEMA

SPEC = ScoreSpec(arm="baseline", seed=42, ks=(1, 3))


def replies(dataset, prompts: int) -> pl.DataFrame:
    """Three replies of the world to each post, every fifth of them broken."""
    truth, rng = load_truth(dataset), np.random.default_rng(0)
    posts = [post for split in ("train_sft", "test", "reward") for post in prompts_of(dataset, split, 1000, 0)]
    rows = []
    for number, prompt in enumerate(posts[:prompts]):
        post = truth.posts[prompt.prompt_id]
        for i in range(3):
            parsed = ParsedReply(str(rng.choice(INTENTS)), post.topic, post.item, REGISTER_OF_TONE[post.tone])
            text = "no sentence of this world" if (3 * number + i) % 5 == 0 else render_reply(parsed, rng)
            rows.append(("baseline", 42, "social", prompt.prompt_id, i, prompt.text, text, 9, -5.0 - i, 1.0, "stop"))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


@pytest.fixture
def samples(small_dataset, make_job):
    folder = make_job("samples").output
    replies(small_dataset, 70).write_parquet(folder / "samples.parquet")
    return folder


def files(job) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(job.output.iterdir())}


def backwards(work, inputs, shards):
    """As workers do: any order, and each shard opened anew."""
    for shard in reversed(shards):
        yield from one_by_one(work, inputs, [shard])


def test_scores_do_not_depend_on_the_cut(samples, small_base, small_dataset, make_job):
    inputs = SocialInputs(samples, small_dataset, small_base)
    whole, pieces = make_job("whole"), make_job("pieces")
    metrics = score_samples(SPEC, inputs, whole, Sharing(one_by_one, 1000 * BLOCK))
    again = score_samples(SPEC, inputs, pieces, Sharing(backwards, BLOCK))
    assert again == metrics
    assert files(pieces) == files(whole)
    assert len(list(pieces.scratch.iterdir())) == 4
    assert pl.read_parquet(whole.output / "scores.parquet").height == 210


def test_scores_of_texts_do_not_depend_on_the_cut(small_base, make_job):
    folder = write_samples(make_job("texts").output, stories(45, 3))
    spec = CreativeScoreSpec(arm="baseline", seed=42, scoring=CreativeScoring(ks=(1, 3), rarefied=5))
    inputs = CreativeInputs(folder, small_base / "encoder", small_base)
    whole, pieces = make_job("whole"), make_job("pieces")
    metrics = score_creative(spec, inputs, whole, sharing=Sharing(one_by_one, 1000 * BLOCK))
    again = score_creative(spec, inputs, pieces, sharing=Sharing(backwards, BLOCK))
    assert json.dumps(again) == json.dumps(metrics)
    assert files(pieces) == files(whole)


def test_a_shard_that_is_done_is_not_done_again(samples, small_base, small_dataset, make_job):
    inputs, job, done = SocialInputs(samples, small_dataset, small_base), make_job("killed"), []

    def dies_after_two(work, given, shards):
        for shard, tables in one_by_one(work, given, shards):
            if len(done) == 2:
                raise KeyboardInterrupt
            done.append(shard)
            yield shard, tables

    with pytest.raises(KeyboardInterrupt):
        score_samples(SPEC, inputs, job, Sharing(dies_after_two, BLOCK))
    (job.scratch / f"{Shard(120, 60).name}.part").mkdir()

    def counts(work, given, shards):
        done.extend(shards)
        return one_by_one(work, given, shards)

    score_samples(SPEC, inputs, job, Sharing(counts, BLOCK))
    assert [shard.start for shard in done] == [0, 60, 120, 180]
    undisturbed = make_job("undisturbed")
    score_samples(SPEC, inputs, undisturbed)
    assert files(job) == files(undisturbed)


def test_a_prompt_whose_rows_are_apart_is_refused():
    frame = pl.DataFrame({"prompt_id": ["a", "b", "a"]})
    with pytest.raises(InputError, match="rows of 'a' are apart"):
        cut(frame, BLOCK)
