"""The whole path on models that were made elsewhere: adapters, samples and scores on a Qwen3 and on a plain Llama."""

from __future__ import annotations

import json

import polars as pl
import pytest
import torch

from polymlops.config.base_models import FolderModelConfig
from polymlops.config.profiles import load_config
from polymlops.config.slices import adapter_spec, sample_spec, score_spec
from polymlops.evaluation.social import SocialInputs, score_samples
from polymlops.generation.sampling import sample_arm
from polymlops.models.loading import load_base, load_with_adapter, weights_digest
from polymlops.training.given_base import given_model_spec, take_base_model
from polymlops.training.sft import train_adapter

SMALL = (
    *("sft.epochs=0.2", "sft.batch=8", "sft.micro_batch=4", "sft.checkpoint_every=4", "sft.log_every=2"),
    *("lora.r=4", "polychromic.samples=3", "polychromic.every=1", "polychromic.prompts=2"),
    *("polychromic.max_new_tokens=12", "evaluation.dynamics_frequency=4", "evaluation.dynamics_prompts=2"),
    *("evaluation.dynamics_samples=2", "sampling.max_new_tokens=12", "sampling.n=3", "sampling.prompts=3"),
    *("evaluation.ks=[1, 3]",),
)
# float32 and bfloat16, a chat template and none: each once.
MODELS = (("qwen3_folder", "bfloat16"), ("llama_folder", "float32"))


@pytest.fixture(params=MODELS, ids=lambda pair: pair[0])
def base(request, small_dataset, make_job):
    name, dtype = request.param
    config = FolderModelConfig(path=request.getfixturevalue(name), dtype=dtype)
    job = make_job("base")
    take_base_model(given_model_spec(config), small_dataset, job)
    return job.output


def test_an_adapter_is_trained_sampled_and_scored(base, small_dataset, make_job):
    config = load_config("demo", list(SMALL))
    logged = []
    job = make_job("adapter")
    job = type(job)(job.output, job.scratch, lambda metrics, step: logged.append(metrics))
    train_adapter(adapter_spec(config, "polychromic", 1), base, small_dataset, job)
    assert any("train/set_diversity" in metrics for metrics in logged)
    assert json.loads((job.output / "adapter.json").read_text())["base_weights_sha256"] == weights_digest(base)
    samples, scores = make_job("samples"), make_job("scores")
    sample_arm(sample_spec(config, "polychromic", 1), base, job.output, small_dataset, samples)
    frame = pl.read_parquet(samples.output / "samples.parquet")
    assert len(frame) == 9
    assert frame["text"].str.contains("<|im_end|>", literal=True).sum() == 0  # it ends a reply and is not of it
    metrics = score_samples(
        score_spec(config, "polychromic", 1), SocialInputs(samples.output, small_dataset, base), scores
    )
    assert 0 < metrics["social/semantic_diversity"] <= 2


def test_training_moves_the_model(base, small_dataset, make_job):
    job, config = make_job("moved"), load_config("demo", [*SMALL, "sft.learning_rate=0.02"])
    train_adapter(adapter_spec(config, "baseline", 1), base, small_dataset, job)
    ids = torch.arange(4, 24)[None]
    with torch.no_grad():
        before, after = load_base(base)(ids).logits, load_with_adapter(base, job.output)(ids).logits
    assert (before - after).abs().max() > 1e-2
