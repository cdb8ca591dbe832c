"""Sample sets: whole, resumable at the shard, independent of batch and shard size; what does not fit is refused."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from polymlops.config.profiles import load_config
from polymlops.config.sampling import PromptBlock
from polymlops.config.slices import sample_spec
from polymlops.errors import InputError
from polymlops.generation.sampling import SCHEMA, Sampler, join_parts, sample_arm, social_questions
from polymlops.models.loading import load_tokenizer

SMALL = (
    "sampling.n=4",
    "sampling.prompts=6",
    "sampling.shard_prompts=2",
    "sampling.max_new_tokens=16",
    "evaluation.ks=[1]",
)


def spec_of(arm, *overrides):
    return sample_spec(load_config("demo", [*SMALL, *overrides]), arm, 0)


@pytest.fixture
def sample(small_base, small_dataset, make_job):
    def run(name, *overrides, arm="zero_shot"):
        job = make_job(name)
        sample_arm(spec_of(arm, *overrides), small_base, None, small_dataset, job)
        return pl.read_parquet(job.output / "samples.parquet")

    return run


def test_a_sample_set_has_n_candidates_for_every_prompt(sample):
    frame = sample("whole")
    assert dict(frame.schema) == SCHEMA
    assert frame.group_by("prompt_id").len()["len"].to_list() == [4] * 6
    assert frame["sample_id"].to_list() == [0, 1, 2, 3] * 6
    assert set(frame["finish_reason"]) <= {"stop", "length"}
    assert (frame["token_count"] <= 16).all()
    assert (frame["logprob"] < 0).all()


def test_batch_and_shard_size_change_nothing(sample):
    one = sample("one")
    for name, batch, shard in (("two", 4, 6), ("three", 1000, 1)):
        other = sample(name, f"sampling.batch={batch}", f"sampling.shard_prompts={shard}")
        assert other.drop("logprob", "entropy").equals(one.drop("logprob", "entropy"))
        np.testing.assert_allclose(other["logprob"], one["logprob"], rtol=1e-4)


def test_a_killed_run_goes_on_at_the_first_missing_shard(sample, small_base, small_dataset, make_job, monkeypatch):
    undisturbed = sample("undisturbed")
    job = make_job("killed")
    original, calls = Sampler.sample, []

    def die_at_the_second(self, prompts, progress=None):
        calls.append(len(prompts))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(self, prompts, progress)

    monkeypatch.setattr(Sampler, "sample", die_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        sample_arm(spec_of("zero_shot"), small_base, None, small_dataset, job)
    assert [path.name for path in job.scratch.iterdir()] == ["shard-00000.parquet"]
    (job.scratch / "shard-00001.part").write_bytes(b"half a shard")
    sample_arm(spec_of("zero_shot"), small_base, None, small_dataset, job)
    assert pl.read_parquet(job.output / "samples.parquet").equals(undisturbed)
    assert calls == [2, 2, 2, 2], "one shard, the killed one, then only the two that were missing"


def test_few_shot_sees_examples(sample, small_base, small_dataset):
    few, zero = (
        social_questions(spec_of(arm, "sampling.few_shot=1"), small_dataset) for arm in ("few_shot", "zero_shot")
    )
    tokenizer = load_tokenizer(small_base)
    lengths = [len(questions.encode(tokenizer, few.prompts[0])) for questions in (few, zero)]
    assert lengths[0] > lengths[1]
    few = sample("few", "sampling.few_shot=1", arm="few_shot")
    assert few["text"].to_list() != sample("zero")["text"].to_list()


def test_a_prompt_beyond_the_context_is_refused(sample):
    with pytest.raises(InputError, match=r"lower sampling\.few_shot"):
        sample("long", "sampling.few_shot=9", arm="few_shot")


@pytest.mark.parametrize("parts", [2, 5])
def test_parts_put_together_are_the_whole_byte_for_byte(parts, small_base, small_dataset, make_job):
    """Three shards over two parts, and over five, of which two have nothing to do."""
    spec, whole, joined = spec_of("zero_shot"), make_job("whole"), make_job("joined")
    metrics = sample_arm(spec, small_base, None, small_dataset, whole)
    folders, rows = [], []
    for index in range(parts):
        job = make_job(f"part-{index}")
        block = PromptBlock(index=index, of=parts)
        sample_arm(spec.model_copy(update={"block": block}), small_base, None, small_dataset, job)
        folders.append(job.output)
        rows.append(pl.read_parquet(job.output / "samples.parquet").height)
    assert join_parts(folders, joined) == metrics
    assert (joined.output / "samples.parquet").read_bytes() == (whole.output / "samples.parquet").read_bytes()
    assert rows == ([8, 16] if parts == 2 else [0, 8, 0, 8, 8])
