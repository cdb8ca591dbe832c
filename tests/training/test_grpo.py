"""GRPO: a start that is the SFT adapter, the exact policy gradient, checked rewards, alarms, resuming."""

from __future__ import annotations

import json
import shutil

import numpy as np
import polars as pl
import pytest
import torch
from transformers import TrainerCallback

from polymlops.config.grpo import GRPOSpec
from polymlops.config.profiles import load_config
from polymlops.config.slices import adapter_spec
from polymlops.data.prompts import chat, prompts_of
from polymlops.errors import InputError, TrainingError
from polymlops.generation.encoding import encode_chat
from polymlops.models.checkpoints import latest_complete
from polymlops.models.loading import load_base, load_tokenizer
from polymlops.training.grpo import build_grpo_trainer, train_grpo, warm_start
from polymlops.training.polychromic import sequence_log_probs
from polymlops.training.sft import train_adapter

OVERRIDES = (
    "sft.epochs=1",
    "sft.batch=8",
    "sft.micro_batch=8",
    "sft.learning_rate=0.002",
    "lora.r=4",
    "lora.dropout=0.1",
    "evaluation.track_dynamics=false",
)
TINY = {
    "samples": 4,
    "prompts": 3,
    "micro_batch": 6,
    "steps": 6,
    "learning_rate": 0.003,
    "warmup": 0,
    "max_new_tokens": 12,
    "checkpoint_every": 2,
    "log_every": 1,
}


def count_of_e(posts, replies):
    return np.array([reply.count("e") / 10 for reply in replies])


@pytest.fixture(scope="module")
def few_rows(small_dataset, tmp_path_factory):
    """The small dataset with 24 training replies: three optimizer steps."""
    folder = tmp_path_factory.mktemp("few") / "data"
    shutil.copytree(small_dataset, folder)
    pl.read_parquet(folder / "train_sft.parquet").head(24).write_parquet(folder / "train_sft.parquet")
    return folder


@pytest.fixture(scope="module")
def start(small_base, few_rows, tmp_path_factory):
    """An SFT adapter of three steps."""
    from polymlops.records import Job

    folder = tmp_path_factory.mktemp("start")
    for name in ("output", "scratch"):
        (folder / name).mkdir()
    job = Job(folder / "output", folder / "scratch", lambda metrics, step: None)
    train_adapter(adapter_spec(load_config("demo", OVERRIDES), "baseline", 1), small_base, few_rows, job)
    return job.output


def spec_of(dynamics=False, **changes):
    whole = adapter_spec(load_config("demo", [*OVERRIDES, "sampling.max_new_tokens=12"]), "baseline", 1)
    alarms = {"gold_patience": 0, "kl_limit": 100.0, **changes.pop("alarms", {})}
    watch = {"track": dynamics, "frequency": 2, "prompts": 2, "samples": 2}
    grpo = {**TINY, **changes, "alarms": alarms}
    return GRPOSpec(arm="baseline_grpo", seed=1, grpo=grpo, dynamics=watch, sampling=whole.sampling)


@pytest.fixture
def build(small_base, few_rows, start, make_job):
    def run(spec, reward=count_of_e, name="job"):
        return build_grpo_trainer(spec, small_base, start, few_rows, reward, make_job(name))

    return run


@pytest.fixture
def train(small_base, few_rows, start, make_job):
    def run(spec, reward=count_of_e, name="job", log=lambda metrics, step: None):
        job = make_job(name)
        result = train_grpo(spec, small_base, start, few_rows, reward, type(job)(job.output, job.scratch, log))
        return job.output, result

    return run


def first_batch(trainer):
    """The inputs of the first loss, all completions in one piece, as the trainer prepares them."""
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1  # set by train(), which is not called here
    return trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))


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


def test_the_gradient_is_the_policy_gradient_of_the_sampled_tokens(build):
    trainer = build(spec_of(micro_batch=12))
    inputs = first_batch(trainer)
    trainer.compute_loss(trainer.model, inputs).backward()
    found = torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]).double()
    trainer.model.zero_grad()

    groups, config = trainer.groups, trainer.config
    rewards_GK = groups.rewards_GK
    advantages = torch.tensor((rewards_GK - rewards_GK.mean(1, keepdims=True)).ravel())
    prompts = [encode_chat(trainer.processing_class, row["prompt"]) for row in trainer.train_dataset.select(range(3))]
    repeated = [prompt for prompt in prompts for _ in range(config.samples)]
    log_probs = sequence_log_probs(trainer.model, repeated, groups.candidates, config.temperature)
    (-(advantages * log_probs).sum() / (len(repeated) * config.max_new_tokens)).backward()
    exact = torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]).double()
    assert exact.norm() > 1e-4
    torch.testing.assert_close(found, exact, rtol=1e-3, atol=1e-6 * float(exact.abs().max()) + 1e-8)


def test_mean_at_k_1_has_the_advantages_of_trl(build, monkeypatch):
    from trl import GRPOTrainer

    trainer = build(spec_of(micro_batch=12))
    theirs = {}
    original = GRPOTrainer._generate_and_score_completions

    def spied(self, inputs):
        output = original(self, inputs)
        theirs["advantages"] = output["advantages"].clone()
        return output

    monkeypatch.setattr(GRPOTrainer, "_generate_and_score_completions", spied)
    trainer.model.train()
    output = trainer._generate_and_score_completions(next(iter(trainer.get_train_dataloader())))
    assert output["advantages"].abs().max() > 0
    torch.testing.assert_close(output["advantages"], theirs["advantages"], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": "max", "k": 2},
        {"objective": "polychromic", "k": 2, "reward_floor": -0.5},
        {"objective": "selected", "k": 3},
        {"objective": "selected", "k": 3, "selector": "length", "baseline": "loo"},
        {"objective": "diversity", "k": 2, "distance": "lexical"},
    ],
    ids=lambda changes: "-".join(str(value) for value in changes.values()),
)
def test_every_objective_has_advantages_that_sum_to_zero_and_differ_from_the_mean(build, changes):
    trainer = build(spec_of(micro_batch=12, samples=12, prompts=1, **changes))
    first_batch(trainer)
    ours_GK = trainer.groups.advantages(trainer.config)
    plain_GK = trainer.groups.advantages(spec_of(samples=12, prompts=1, micro_batch=12).grpo)
    np.testing.assert_allclose(ours_GK.sum(1), 0, atol=1e-9)
    assert np.abs(ours_GK).max() > 1e-6
    assert np.abs(ours_GK - plain_GK).max() > 1e-6


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
    logged = {"reward", "reward_within_spread", "reward_zero_spread_share", "kl", "entropy", "clip_ratio/region_mean"}
    logged |= {"completions/mean_length", "duplicate_share", "truncated_share", "diversity"}
    assert logged <= set(rows[0])


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        (lambda posts, replies: np.full(len(replies), np.nan), "not finite"),
        (lambda posts, replies: np.ones(len(replies) - 1), "return one for each"),
        (lambda posts, replies: np.full(len(replies), 0.5), "nothing to learn"),
    ],
    ids=["nan", "count", "constant"],
)
def test_a_bad_reward_stops_the_first_step(train, reward, message):
    with pytest.raises(TrainingError, match=message):
        train(spec_of(), reward)


def test_what_cannot_be_trained_is_refused_before_the_first_step(train, build, small_base, start, few_rows, make_job):
    with pytest.raises(InputError, match="exceed the context"):
        build(spec_of(max_new_tokens=100_000))
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
    assert kls[3] > max(kls[:3])
    limit = kls[3] * 0.999
    folder, result = train(spec_of(alarms={"kl_limit": limit}), name="stopped")
    assert json.loads((folder / "adapter.json").read_text())["alarm"]["step"] == 4
    assert len([row for row in history(folder) if "kl" in row]) == 4
    assert result["train/kept_step"] == 2
    checkpoints = tmp_path / "stopped" / "scratch" / "checkpoints"
    assert weights(folder) == weights(checkpoints / "checkpoint-2") != weights(checkpoints / "checkpoint-4")
    assert latest_complete(checkpoints).name == "checkpoint-2"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    train(spec_of(alarms={"kl_limit": limit}), name="stopped")  # killed before it had saved
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_gold_alarm_goes_back_to_the_checkpoint_with_the_highest_pass_rate(train, monkeypatch):
    from polymlops.training import grpo_trainer

    monkeypatch.setattr(grpo_trainer, "over_optimised", lambda golds, rewards, patience: len(golds) == 3)
    folder, _ = train(spec_of(dynamics=True, alarms={"gold_patience": 1}))
    about = json.loads((folder / "adapter.json").read_text())
    assert about["alarm"]["kind"] == "gold"
    assert about["alarm"]["step"] == 4
    assert about["kept_step"] == 2


def test_the_gold_alarm_reads_dynamics_and_rewards_up_to_its_step(tmp_path):
    from transformers import TrainerControl, TrainerState

    from polymlops.training.grpo_trainer import AlarmCallback

    for step, rate in {0: 0.5, 2: 0.6, 4: 0.4, 6: 0.0}.items():
        (tmp_path / f"step-{step:06d}.json").write_text(json.dumps({"step": step, "pass_rate": rate}))
    for last_reward, expected in ((3.0, "from 0.600 to 0.400"), (1.5, None)):
        alarms = AlarmCallback(spec_of(dynamics=True, alarms={"gold_patience": 1}).grpo.alarms, tmp_path)
        rows = [
            {"step": step, "reward": reward, "kl": 0.1, "diversity": 0.5}
            for step, reward in ((2, 2.0), (4, last_reward))
        ]
        state, control = TrainerState(global_step=4, log_history=rows), TrainerControl()
        alarms.on_log(None, state, control)
        assert control.should_training_stop is (expected is not None)
        assert alarms.alarm is None or expected in alarms.alarm.reason


def test_best_is_the_checkpoint_with_the_highest_reward_before_the_alarm(tmp_path):
    from polymlops.training.grpo_trainer import Alarm, best_step

    rows = [
        {"step": step, "reward": reward} for step, reward in ((1, 0), (2, 2), (3, 3), (4, 3), (5, 2), (6, 3), (8, 9))
    ]
    alarm = Alarm("kl", 8, "")
    assert best_step([6, 2, 8, 4], rows, alarm, tmp_path) == 4
    assert best_step([8], rows, alarm, tmp_path) == 0


def test_gold_alarm_needs_reward_up_and_gold_down_for_as_long_as_its_patience():
    from polymlops.training.grpo_trainer import over_optimised

    assert over_optimised([0.5, 0.6, 0.5, 0.4], [1, 2, 3, 4], 2)
    assert not over_optimised([0.5, 0.6, 0.5, 0.4], [1, 2, 3, 4], 3)
    assert not over_optimised([0.5, 0.6, 0.5, 0.4], [1, 2, 3, 1.5], 2)
    assert not over_optimised([0.5, 0.6, 0.7, 0.8], [1, 2, 3, 4], 2)
    assert not over_optimised([0.5], [1], 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": 5}, "above samples"),
        ({"objective": "max", "k": 4, "baseline": "loo"}, "use marginal"),
        ({"objective": "polychromic", "k": 1}, "at least 2"),
        ({"micro_batch": 5}, "does not divide"),
        ({"checkpoint_every": 3, "log_every": 2}, "not a multiple"),
        ({"alarms": {"gold_patience": 2}}, "needs dynamics"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        spec_of(**changes)
