"""Gradient norms: exact by layer, summing to the optimizer's gradient, and a run that does not feel them."""

from __future__ import annotations

import math
import types
from dataclasses import replace

import pytest
import torch
from grpo_parts import spec_of as grpo_spec_of

from polymlops.config.analysis import GradientConfig
from polymlops.config.profiles import load_config
from polymlops.config.slices import adapter_spec
from polymlops.models.loading import load_tokenizer
from polymlops.training.adapter_files import save_weights
from polymlops.training.gradient_norms import GradientNorms, collect_norms, layer_norms, read_norms
from polymlops.training.grpo_gradients import WatchedSetTrainer
from polymlops.training.sft_gradients import WatchedSFTTrainer

SMALL = (
    "sft.epochs=1",
    "sft.batch=8",
    "sft.micro_batch=4",
    "sft.learning_rate=0.002",
    "sft.log_every=1",
    "lora.r=4",
    "lora.dropout=0.1",
    "polychromic.max_new_tokens=28",
    "polychromic.samples=4",
    "polychromic.every=2",
    "polychromic.lambda=0.3",
    "evaluation.track_dynamics=false",
    "sampling.max_new_tokens=28",
)


@pytest.fixture
def train_sft(small_base, few_rows, make_job):
    """Train with the stage's own trainer; every 0 records nothing."""
    from polymlops.training.sft import build_trainer

    def run(name, arm="polychromic", *overrides, every=1, log=None):
        job = make_job(name)
        job = replace(job, log=log or job.log)
        watched = [f"gradients={{track: {str(every > 0).lower()}, every: {max(1, every)}}}"]
        spec = adapter_spec(load_config("demo", [*SMALL, *watched, *overrides]), arm, 1)
        trainer = build_trainer(spec, small_base, few_rows, job, load_tokenizer(small_base))
        trainer.train()
        return trainer, _weights(trainer, job)

    return run


@pytest.fixture
def train_grpo(build, make_job):
    def run(name, every=1, **changes):
        gradients = GradientConfig(track=every > 0, every=max(1, every))
        trainer = build(grpo_spec_of(**changes).model_copy(update={"gradients": gradients}), name=name)
        trainer.train()
        trainer.model.delete_adapter("ref")
        return trainer, _weights(trainer, make_job(name))

    return run


def _weights(trainer, job):
    save_weights(trainer.model, job.output)
    return (job.output / "adapter_model.safetensors").read_bytes()


def _whole(job):
    return {row["step"]: row for row in collect_norms(job.scratch) if row["layer"] == "all"}


def _logged_norms(trainer):
    return {entry["step"]: entry["grad_norm"] for entry in trainer.state.log_history if "grad_norm" in entry}


def test_recording_does_not_change_sft(train_sft, make_job):
    unwatched, plain = train_sft("plain", every=0)
    assert not isinstance(unwatched, WatchedSFTTrainer)
    trainer, watched = train_sft("watched")
    assert isinstance(trainer, WatchedSFTTrainer)
    assert watched == plain
    assert sorted(_whole(make_job("watched"))) == [1, 2, 3]


def test_recording_does_not_change_grpo(train_grpo, make_job):
    _, plain = train_grpo("plain", every=0)
    trainer, watched = train_grpo("watched")
    assert isinstance(trainer, WatchedSetTrainer)
    assert watched == plain
    assert sorted(_whole(make_job("watched"))) == [1, 2, 3, 4, 5, 6]


def test_the_stage_stores_norms_with_the_adapter_and_changes_nothing_else(small_base, few_rows, make_job):
    from polymlops.training.sft import train_adapter

    left = {}
    for track in ("false", "true"):
        spec = adapter_spec(load_config("demo", [*SMALL, f"gradients.track={track}"]), "baseline", 1)
        job = make_job(track)
        train_adapter(spec, small_base, few_rows, job)
        left[track] = {path.name: path.read_bytes() for path in job.output.iterdir()}
        assert read_norms(job.output) == collect_norms(job.scratch)
    recorded = left["true"].pop("gradient_norms.json")
    assert recorded
    assert left["true"] == left["false"]


@pytest.mark.parametrize("arm", ["baseline", "polychromic"])
def test_terms_of_sft_sum_to_the_gradient_of_the_optimizer(train_sft, make_job, arm):
    trainer, _ = train_sft("sft", arm)
    found = {step: row["total"] for step, row in _whole(make_job("sft")).items()}
    assert found == pytest.approx(_logged_norms(trainer), rel=1e-4)


def test_terms_of_grpo_sum_to_the_gradient_of_the_optimizer(train_grpo, make_job):
    trainer, _ = train_grpo("grpo", beta=0.5)
    rows = _whole(make_job("grpo"))
    assert {step: row["total"] for step, row in rows.items()} == pytest.approx(_logged_norms(trainer), rel=1e-4)
    # The policy is the reference at first, where k3 is flat; it is not for long.
    assert rows[1]["kl"] < 1e-6 * rows[1]["policy"]
    assert rows[6]["kl"] > 1e-3 * rows[6]["policy"]


def test_the_kl_term_is_linear_in_beta_and_leaves_the_policy_term_alone(train_grpo, make_job):
    """Two runs with a learning rate that moves nothing visible have the same policy gradient."""
    norms = {}
    for beta in (0.1, 0.4):
        train_grpo(f"beta-{beta}", beta=beta, steps=2, learning_rate=1e-3)
        norms[beta] = _whole(make_job(f"beta-{beta}"))
    assert norms[0.4][1]["policy"] == pytest.approx(norms[0.1][1]["policy"], rel=1e-5)
    # Step 1 has no KL gradient, so that both runs stand at the same weights at step 2.
    assert norms[0.4][2]["kl"] == pytest.approx(4 * norms[0.1][2]["kl"], rel=1e-2)
    assert norms[0.4][2]["policy"] == pytest.approx(norms[0.1][2]["policy"], rel=1e-2)


def test_diversity_acts_on_its_own_steps_and_a_detached_one_has_no_gradient(train_sft, make_job):
    train_sft("on")
    on = _whole(make_job("on"))
    assert min(on[1]["diversity"], on[3]["diversity"]) > 0
    assert (on[2]["diversity"], on[2]["cosine"]) == (0, None)
    assert on[1]["total"] != pytest.approx(on[1]["cross_entropy"], rel=1e-3)
    train_sft("detached", "detached")
    assert [row["diversity"] for row in _whole(make_job("detached")).values()] == [0.0, 0.0, 0.0]


def test_only_due_steps_are_recorded_and_each_is_logged_once(train_sft, make_job):
    logged = []
    train_sft("rare", "baseline", every=2, log=lambda metrics, step: logged.append((step, metrics)))
    assert sorted(_whole(make_job("rare"))) == [1, 3]
    logged = [item for item in logged if any(name.startswith("gradients/") for name in item[1])]
    assert [step for step, _ in logged] == [1, 3]
    assert {"gradients/layer_0/cross_entropy", "gradients/layer_1/total", "gradients/layer_all/total"} == (
        set(logged[0][1]) & {"gradients/layer_0/cross_entropy", "gradients/layer_1/total", "gradients/layer_all/total"}
    )


def test_a_resumed_run_reports_what_was_recorded_before_its_checkpoint(tmp_path):
    logged = []
    gradients = GradientNorms(tmp_path, 1, lambda metrics, step: logged.append(step))
    weight = torch.nn.Linear(2, 1)
    for step in range(4):
        gradients.observe(weight, {"loss": weight(torch.ones(2)).sum()}, step)
        gradients.on_step_end(None, types.SimpleNamespace(global_step=step + 1), None)
    again = GradientNorms(tmp_path, 1, lambda metrics, step: logged.append(step))
    again.on_train_begin(None, types.SimpleNamespace(global_step=2), None)
    assert logged == [1, 2, 3, 4, 1, 2]


def test_norms_are_those_of_the_concatenated_gradients():
    names = ["m.layers.0.a", "m.layers.0.b", "m.layers.10.a", "m.layers.2.a", "head"]
    rng = torch.Generator().manual_seed(0)
    first, second = ([torch.randn(3, generator=rng) for _ in names] for _ in range(2))
    rows = layer_norms(7, names, {"x": first, "y": second})
    assert [row["layer"] for row in rows] == ["0", "2", "10", "other", "all"]
    x, y = torch.cat(first[:2]), torch.cat(second[:2])
    expected = {"x": float(x.norm()), "y": float(y.norm()), "total": float((x + y).norm())}
    assert {name: rows[0][name] for name in expected} == pytest.approx(expected, rel=1e-6)
    assert rows[0]["cosine"] == pytest.approx(float(torch.cosine_similarity(x, y, dim=0)), rel=1e-5)
    squares = math.fsum(float(row["x"]) ** 2 for row in rows[:-1])
    assert rows[-1]["x"] == pytest.approx(math.sqrt(squares))


def test_an_adapter_without_a_record_has_no_rows(tmp_path):
    assert read_norms(tmp_path) == []
    (tmp_path / "gradient_norms.json").write_text('[{"step": 1, "layer": "all", "total": 2.0}]')
    assert read_norms(tmp_path) == [{"step": 1, "layer": "all", "total": 2.0}]
