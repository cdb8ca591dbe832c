"""Training on programs starts exactly at the base, learns from the reward that is brought, and sees no other prompt."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from polymlops.config.code_slices import CodeGRPOSpec, ZeroAdapterSpec
from polymlops.config.coding import UnitTestsRewardConfig
from polymlops.config.grpo import AlarmConfig, GRPOConfig, ObjectiveConfig
from polymlops.config.schema import LoraConfig
from polymlops.config.suites import WorldSuiteConfig
from polymlops.data.suites import load_suite
from polymlops.errors import InputError
from polymlops.models.loading import load_base, load_with_adapter
from polymlops.records import Job
from polymlops.training.code_grpo import ProgramJudges, train_on_programs
from polymlops.training.zero_adapter import make_zero_adapter

PROBLEMS = load_suite(WorldSuiteConfig(split="train", count=6)).problems
GRPO = GRPOConfig(
    distance="lexical",
    samples=4,
    prompts=2,
    micro_batch=8,
    steps=2,
    learning_rate=0.01,
    max_new_tokens=8,
    checkpoint_every=2,
    log_every=1,
    alarms=AlarmConfig(gold_patience=0),
)
SPEC = CodeGRPOSpec(arm="code_mean", seed=1, grpo=GRPO, reward=UnitTestsRewardConfig())


POLYCHROMIC = GRPO.with_objective(ObjectiveConfig(objective="polychromic", k=2)).model_dump()


@pytest.fixture(scope="module")
def zero(small_base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("zero")
    job = Job(folder, folder, lambda metrics, step: None)
    make_zero_adapter(ZeroAdapterSpec(seed=3, lora=LoraConfig(r=2)), small_base, job)
    return folder


def test_the_start_is_the_base(zero, small_base):
    base, started = load_base(small_base).state_dict(), load_with_adapter(small_base, zero).state_dict()
    assert base.keys() == started.keys()
    assert all(torch.equal(base[name], started[name]) for name in base)


def test_the_start_is_the_same_in_every_call_and_draws_nothing_from_the_caller(zero, small_base, make_job):
    job, before = make_job("again"), torch.random.get_rng_state()
    make_zero_adapter(ZeroAdapterSpec(seed=3, lora=LoraConfig(r=2)), small_base, job)
    assert torch.equal(torch.random.get_rng_state(), before)
    first, again = (load_file(folder / "adapter_model.safetensors") for folder in (zero, job.output))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_the_reward_gets_the_problems_prompts_and_moves_the_weights(zero, small_base, make_job):
    job, seen = make_job(), []

    def shorter_is_better(prompts, answers):
        seen.extend(prompts)
        return -np.array([len(answer) for answer in answers], dtype=np.float64)

    metrics = train_on_programs(SPEC, small_base, zero, PROBLEMS, ProgramJudges(shorter_is_better), job)
    assert set(seen) <= {problem.prompt for problem in PROBLEMS}
    assert len(seen) == 2 * 2 * 4
    assert metrics["train/kept_step"] == 2
    start, end = (load_file(folder / "adapter_model.safetensors") for folder in (zero, job.output))
    assert any(not torch.equal(start[name], end[name]) for name in start)
    about = json.loads((job.output / "adapter.json").read_text())
    assert (about["arm"], about["seed"]) == ("code_mean", 1)


def test_programs_are_compared_by_what_is_brought_and_not_without_it(zero, small_base, make_job):
    grpo = GRPOConfig.model_validate(POLYCHROMIC | {"distance": "program"})
    spec, seen = SPEC.model_copy(update={"grpo": grpo}), []

    def distances(prompt, answers):
        seen.append((prompt, len(answers)))
        return 1 - np.eye(len(answers))

    judges = ProgramJudges(lambda prompts, answers: np.arange(len(answers)) % 2.0, distances)
    metrics = train_on_programs(spec, small_base, zero, PROBLEMS, judges, make_job("brought"))
    assert {prompt for prompt, _ in seen} <= {problem.prompt for problem in PROBLEMS}
    assert [answers for _, answers in seen] == [4] * 4, "two groups of four in each of two steps"
    assert metrics["train/diversity"] in (0, 1), "all valid answers are as far apart as can be"
    with pytest.raises(InputError, match="distance program: these completions are no programs"):
        train_on_programs(spec, small_base, zero, PROBLEMS, ProgramJudges(judges.reward), make_job("without"))
