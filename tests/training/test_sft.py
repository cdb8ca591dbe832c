"""Adapters: equal to the baseline where they must be, gradients by lambda, and resuming bit for bit."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import TrainerCallback

from polymlops.config.profiles import load_config
from polymlops.config.slices import adapter_spec
from polymlops.errors import TrainingError
from polymlops.models.checkpoints import latest_complete
from polymlops.models.loading import load_tokenizer
from polymlops.training.sft import build_trainer, train_adapter

SMALL = (
    "sft.epochs=0.9",
    "sft.batch=8",
    "sft.micro_batch=4",
    "sft.learning_rate=0.002",
    "sft.checkpoint_every=4",
    "sft.log_every=2",
    "lora.r=4",
    "polychromic.max_new_tokens=28",
    "polychromic.samples=4",
    "polychromic.every=2",
    "evaluation.dynamics_frequency=5",
    "evaluation.dynamics_prompts=2",
    "evaluation.dynamics_samples=3",
    "sampling.max_new_tokens=28",
)


def spec_of(arm, *overrides, seed=1, rows=None):
    return adapter_spec(load_config("demo", [*SMALL, *overrides]), arm, seed)


@pytest.fixture(scope="module")
def few_rows(small_dataset, tmp_path_factory):
    """The small dataset with 80 training replies: nine optimizer steps."""
    import shutil

    import polars as pl

    folder = tmp_path_factory.mktemp("few") / "data"
    shutil.copytree(small_dataset, folder)
    pl.read_parquet(folder / "train_sft.parquet").head(80).write_parquet(folder / "train_sft.parquet")
    return folder


@pytest.fixture
def train(small_base, few_rows, make_job):
    def run(name, spec, log=None):
        job = make_job(name)
        if log is not None:
            job = type(job)(job.output, job.scratch, log)
        train_adapter(spec, small_base, few_rows, job)
        return job.output

    return run


def weights(folder):
    return (folder / "adapter_model.safetensors").read_bytes()


def test_the_controls_are_the_baseline_bit_for_bit(train):
    baseline = train("baseline", spec_of("baseline"))
    zero = train("zero", spec_of("lambda_zero"))
    on = train("on", spec_of("polychromic", "polychromic.lambda=0.3"))
    detached = train("detached", spec_of("detached"))
    assert weights(zero) == weights(baseline)
    assert weights(detached) == weights(baseline)
    assert weights(on) != weights(baseline)


def test_watching_does_not_change_the_run(train):
    watched = train("watched", spec_of("polychromic"))
    alone = train("alone", spec_of("polychromic", "evaluation.track_dynamics=false"))
    assert weights(watched) == weights(alone)
    assert [point["step"] for point in json.loads((watched / "dynamics.json").read_text())["points"]] == [0, 5, 9]
    assert json.loads((alone / "dynamics.json").read_text())["points"] == []


@pytest.fixture
def gradient(small_base, few_rows, make_job):
    tokenizer = load_tokenizer(small_base)

    def compute(*overrides, arm="polychromic"):
        # Cool enough for a model that was hardly trained to write what counts.
        settings = ("lora.dropout=0", "evaluation.track_dynamics=false", "polychromic.temperature=0.7")
        spec = spec_of(arm, *settings, *overrides)
        trainer = build_trainer(spec, small_base, few_rows, make_job(str(overrides)), tokenizer)
        with torch.no_grad():
            for name, parameter in trainer.model.named_parameters():
                if "lora_B" in name:  # zero at the start, which would leave lora_A without a gradient
                    parameter.copy_(torch.linspace(-0.05, 0.05, parameter.numel()).view_as(parameter))
        trainer.model.train()
        trainer.current_gradient_accumulation_steps = 2  # set by train(), which is not called here
        batch = next(iter(trainer.get_train_dataloader()))
        items = (batch["labels"][:, 1:] != -100).sum()
        trainer.compute_loss(trainer.model, batch, num_items_in_batch=items).backward()
        return torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]).double()

    return compute


def test_the_gradient_differs_with_lambda_and_scales_with_it(gradient):
    none, some, twice = (gradient(f"polychromic.lambda={value}") for value in (0, 0.3, 0.6))
    assert (some - none).norm() > 1e-3 * none.norm()
    torch.testing.assert_close(twice - none, 2 * (some - none), rtol=1e-3, atol=1e-6)


def test_the_detached_control_has_the_gradient_of_the_baseline(gradient):
    detached = gradient(arm="detached")
    assert torch.equal(detached, gradient(arm="baseline"))


def test_evaluation_is_cross_entropy_alone_and_samples_nothing(small_base, few_rows, make_job):
    class Tripwire:
        config = spec_of("polychromic").polychromic

        def step(self, *_):
            raise AssertionError("sampled during evaluation")

    tokenizer = load_tokenizer(small_base)
    losses = []
    for arm in ("baseline", "polychromic"):
        trainer = build_trainer(spec_of(arm), small_base, few_rows, make_job(arm), tokenizer)
        if arm == "polychromic":
            trainer.diversity = Tripwire()
        losses.append(trainer.evaluate()["eval_loss"])
    assert losses[0] == losses[1]


class _Killed(Exception):
    pass


class _KillAt(TrainerCallback):
    def on_step_end(self, args, state, control, **_):
        if state.global_step == 6:
            raise _Killed


def test_a_killed_run_goes_on_from_its_checkpoint_bit_for_bit(train, small_base, few_rows, make_job):
    spec = spec_of("polychromic")
    undisturbed = train("undisturbed", spec)
    job = make_job("killed")
    trainer = build_trainer(spec, small_base, few_rows, job, load_tokenizer(small_base))
    trainer.add_callback(_KillAt())
    with pytest.raises(_Killed):
        trainer.train()
    assert latest_complete(job.scratch / "checkpoints").name == "checkpoint-4"
    (job.scratch / "checkpoints" / "checkpoint-7").mkdir()  # half written: no marker

    seen: list[tuple[str, int]] = []
    resumed = train("killed", spec, lambda metrics, step: seen.extend((name, step) for name in metrics))
    assert weights(resumed) == weights(undisturbed)
    for name in ("history.json", "dynamics.json", "adapter.json", "adapter_config.json"):
        assert (resumed / name).read_text() == (undisturbed / name).read_text()
    assert len(seen) == len(set(seen)), "a metric was reported twice for a step"
    assert {step for name, step in seen if name == "train/loss"} == {2, 4, 6, 8}
    assert {step for name, step in seen if name == "dynamics/true_intents"} == {0, 5, 9}


def test_nothing_to_train_is_an_error(train):
    with pytest.raises(TrainingError, match="target_modules"):
        train("none", spec_of("baseline", "lora.target_modules=[no_such_module]"))
