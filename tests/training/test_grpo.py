"""GRPO: a start that is the SFT adapter, the exact policy gradient, checked rewards, alarms, resuming."""

from __future__ import annotations

import json
import shutil

import numpy as np
import polars as pl
import pytest
import torch
from grpo_parts import count_of_e, spec_of
from transformers import TrainerCallback

from polymlops.data.prompts import chat, prompts_of
from polymlops.errors import InputError, TrainingError
from polymlops.generation.encoding import encode_chat
from polymlops.models.checkpoints import latest_complete
from polymlops.models.loading import load_base, load_tokenizer
from polymlops.training.grpo import train_grpo, warm_start


@pytest.fixture
def train(small_base, few_rows, start, make_job):
    def run(spec, reward=count_of_e, name="job", log=lambda metrics, step: None):
        job = make_job(name)
        result = train_grpo(spec, small_base, start, few_rows, reward, type(job)(job.output, job.scratch, log))
        return job.output, result

    return run


def weights(folder):
    return (folder / "adapter_model.safetensors").read_bytes()


def history(folder):
    return json.loads((folder / "history.json").read_text())


def test_the_start_is_the_sft_adapter_and_not_the_bare_base(build, small_base, few_rows, start):
    from peft import PeftModel

    trainer = build(spec_of())
    ids = torch.tensor([encode_chat(load_tokenizer(small_base), chat(prompts_of(few_rows, "test", 1, 0)[0].text))])
    with torch.no_grad():
        begun = trainer.model.eval()(input_ids=ids).logits
        tuned = PeftModel.from_pretrained(load_base(small_base), str(start)).eval()(input_ids=ids).logits
        bare = load_base(small_base)(input_ids=ids).logits
    assert torch.equal(begun, tuned)
    assert (begun - bare).abs().max() > 1e-3


def test_it_learns_what_it_is_rewarded_for(train, start):
    folder, result = train(spec_of(steps=20, prompts=4, samples=6, micro_batch=24, learning_rate=0.01, beta=0.01))
    rows = [row for row in history(folder) if "kl" in row]
    assert rows[0]["kl"] < 1e-6
    assert rows[-1]["kl"] > 1e-4
    early, late = (np.mean([row["reward"] for row in part]) for part in (rows[:6], rows[-6:]))
    assert late > 1.2 * early
    assert weights(folder) != weights(start)
    assert result["train/kept_step"] == 20
    assert result["train/alarm"] == 0


LOGGED = {  # dashboards, alarms and reports read these names
    "train/loss",
    "train/grad_norm",
    "train/reward",
    "train/reward_within_spread",
    "train/reward_zero_spread_share",
    "train/advantage_zero_spread_share",
    "train/sign_disagreement_share",
    "train/kl",
    "train/entropy",
    "train/clip_ratio/region_mean",
    "train/completions/mean_length",
    "train/duplicate_share",
    "train/truncated_share",
    "train/valid_share",
    "train/diversity",
}


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({}, set()),
        ({"objective": "polychromic", "k": 2}, {"train/below_floor_share"}),
        ({"objective": "coverage", "k": 2}, {"train/passing_share", "train/passing_clusters"}),
    ],
    ids=["mean", "polychromic", "coverage"],
)
def test_every_step_reports_what_there_is_to_know_under_stable_names(train, changes, more):
    seen: dict[int, dict[str, float]] = {}
    train(spec_of(steps=2, **changes), log=lambda metrics, step: seen.setdefault(step, {}).update(metrics))
    assert set(seen) == {1, 2}
    for metrics in seen.values():
        assert LOGGED | more <= set(metrics)
        assert all(np.isfinite(metrics[name]) for name in LOGGED | more)
        assert all(0 <= value <= 1 for name, value in metrics.items() if name.endswith("_share"))
    others = {"train/below_floor_share", "train/passing_share", "train/passing_clusters"} - more
    assert not others & set(seen[1])


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        (lambda posts, replies: np.full(len(replies), np.nan), "not finite"),
        (lambda posts, replies: np.where(np.arange(len(replies)) == 3, np.inf, 0.1), "1 of 12 rewards are not finite"),
        (lambda posts, replies: np.ones(len(replies) - 1), "return one for each"),
        (lambda posts, replies: 0.5, "return one for each"),
        (lambda posts, replies: [None] * len(replies), "not finite"),
        (lambda posts, replies: ["high"] * len(replies), "not numbers"),
        (lambda posts, replies: np.full(len(replies), 0.5), "nothing to learn"),
    ],
    ids=["nan", "infinite", "count", "scalar", "none", "words", "constant"],
)
def test_a_bad_reward_stops_the_first_step(train, reward, message):
    with pytest.raises(TrainingError, match=message):
        train(spec_of(), reward)


def test_a_floor_above_every_reward_of_the_first_step_is_refused(train):
    with pytest.raises(TrainingError, match="above reward_floor = 50"):
        train(spec_of(objective="polychromic", k=2, reward_floor=50.0))


def test_a_reward_that_fails_later_stops_there(train):
    calls = []

    def failing(posts, replies):
        calls.append(len(replies))
        return count_of_e(posts, replies) if len(calls) < 3 else np.full(len(replies), np.nan)

    with pytest.raises(TrainingError, match="not finite"):
        train(spec_of(), failing)
    assert len(calls) == 3


def test_what_cannot_be_trained_is_refused_before_the_first_step(train, build, small_base, start, few_rows, make_job):
    with pytest.raises(InputError, match="exceed the context"):
        build(spec_of(max_new_tokens=100_000))
    long = make_job("long").output
    shutil.copytree(few_rows, long, dirs_exist_ok=True)
    posts = pl.read_parquet(long / "train_grpo.parquet").with_columns(post=pl.lit("why is that so? " * 200))
    posts.write_parquet(long / "train_grpo.parquet")
    with pytest.raises(InputError, match="why is that so"):
        train_grpo(spec_of(), small_base, start, long, count_of_e, make_job("c"))
    foreign, empty = make_job("foreign").output, make_job("empty").output
    shutil.copytree(start, foreign, dirs_exist_ok=True)
    about = json.loads((foreign / "adapter.json").read_text())
    (foreign / "adapter.json").write_text(json.dumps({**about, "base_weights_sha256": "0" * 64}))
    with pytest.raises(InputError, match="another base"):
        train_grpo(spec_of(), small_base, foreign, few_rows, count_of_e, make_job("a"))
    shutil.copytree(few_rows, empty, dirs_exist_ok=True)
    pl.read_parquet(empty / "train_grpo.parquet").head(0).write_parquet(empty / "train_grpo.parquet")
    with pytest.raises(InputError, match="split is empty"):
        train_grpo(spec_of(), small_base, start, empty, count_of_e, make_job("b"))


def test_a_start_that_is_not_the_reference_is_refused(build, monkeypatch):
    from polymlops.training.grpo_trainer import SetTrainer

    monkeypatch.setattr(SetTrainer, "start_kl", lambda self, prompts: 0.01)
    with pytest.raises(TrainingError, match="at step 0"):
        build(spec_of())


@pytest.mark.filterwarnings("ignore:Found missing adapter keys")
def test_a_start_whose_weights_do_not_all_arrive_is_refused(small_base, start, tmp_path):
    from safetensors.torch import load_file, save_file

    partial = shutil.copytree(start, tmp_path / "partial")
    tensors = load_file(partial / "adapter_model.safetensors")
    tensors.pop(next(name for name in tensors if "lora_B" in name))
    save_file(tensors, partial / "adapter_model.safetensors")
    with pytest.raises(TrainingError, match="does not hold"):
        warm_start(small_base, partial)


class _Killed(Exception):
    pass


class _KillAt(TrainerCallback):
    def on_step_end(self, args, state, control, **_):
        if state.global_step == 5:
            raise _Killed


def test_a_killed_run_goes_on_from_its_checkpoint_bit_for_bit(train, build, make_job):
    spec = spec_of(dynamics=True, objective="polychromic", k=2)
    undisturbed, _ = train(spec, name="undisturbed")
    trainer = build(spec, name="killed")
    trainer.add_callback(_KillAt())
    with pytest.raises(_Killed):
        trainer.train()
    assert latest_complete(make_job("killed").scratch / "checkpoints").name == "checkpoint-4"

    seen: list[tuple[str, int]] = []
    resumed, _ = train(spec, name="killed", log=lambda metrics, step: seen.extend((name, step) for name in metrics))
    assert weights(resumed) == weights(undisturbed)
    files = {path.name for path in undisturbed.iterdir()}
    assert files == {
        "adapter_model.safetensors",
        "adapter_config.json",
        "adapter.json",
        "history.json",
        "dynamics.json",
    }
    for name in files:
        assert (resumed / name).read_bytes() == (undisturbed / name).read_bytes()
    assert len(seen) == len(set(seen)), "a metric was reported twice for a step"


@pytest.mark.parametrize(
    ("alarms", "kind"), [({"kl_limit": 1e-09}, "kl"), ({"diversity_floor": 0.99}, "diversity")], ids=["kl", "diversity"]
)
def test_an_alarm_before_the_first_checkpoint_keeps_the_start_and_says_why(train, start, alarms, kind):
    folder, result = train(spec_of(alarms=alarms))
    about = json.loads((folder / "adapter.json").read_text())
    assert about["alarm"]["kind"] == kind
    assert str(next(iter(alarms.values()))) in about["alarm"]["reason"]
    assert about["alarm"]["step"] < 6
    assert about["kept_step"] == result["train/kept_step"] == 0
    assert result["train/alarm"] == 1
    assert weights(folder) == weights(start)


def test_a_later_alarm_goes_back_to_the_checkpoint_before_it_also_after_a_kill(train, tmp_path):
    whole, _ = train(spec_of(), name="whole")
    kls = [row["kl"] for row in history(whole) if "kl" in row]
    highest = next(step for step in range(3, len(kls) + 1) if kls[step - 1] > max(kls[: step - 1]))
    before_it = 2 * ((highest - 1) // 2)  # the last checkpoint
    limit = kls[highest - 1] * 0.999
    folder, result = train(spec_of(alarms={"kl_limit": limit}), name="stopped")
    assert json.loads((folder / "adapter.json").read_text())["alarm"]["step"] == highest
    assert len([row for row in history(folder) if "kl" in row]) == highest
    assert result["train/kept_step"] == before_it
    checkpoints = tmp_path / "stopped" / "scratch" / "checkpoints"
    assert weights(folder) == weights(checkpoints / f"checkpoint-{before_it}") != weights(whole)
    assert latest_complete(checkpoints).name == f"checkpoint-{before_it}"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    train(spec_of(alarms={"kl_limit": limit}), name="stopped")  # killed before it had saved
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_gold_alarm_goes_back_to_the_checkpoint_with_the_highest_pass_rate(train, monkeypatch):
    from polymlops.training import grpo_alarms

    monkeypatch.setattr(grpo_alarms, "over_optimised", lambda golds, rewards, patience: len(golds) == 3)
    folder, _ = train(spec_of(dynamics=True, alarms={"gold_patience": 1}))
    about = json.loads((folder / "adapter.json").read_text())
    assert about["alarm"]["kind"] == "gold"
    assert about["alarm"]["step"] == 4
    assert about["kept_step"] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": 5}, "above samples"),
        ({"objective": "max", "k": 4, "baseline": "loo"}, "use marginal"),
        ({"objective": "polychromic", "k": 1}, "at least 2"),
        ({"micro_batch": 5}, "does not divide"),
        ({"checkpoint_every": 3, "log_every": 2}, "not a multiple"),
        ({"alarms": {"gold_patience": 2}}, "needs dynamics"),
        ({"objective": "coverage", "coverage_distance": 1.0}, "less than 1"),
        ({"objective": "coverage", "pass_threshold": float("nan")}, "finite"),
        ({"reward_floor": float("-inf")}, "finite"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        spec_of(**changes)
