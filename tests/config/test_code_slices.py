"""The code domain's names and slices: what decides a result is in them, what cannot be done is refused."""

import pytest

from polymlops.config.code_slices import (
    code_arms,
    code_grpo_spec,
    code_report_spec,
    code_sample_spec,
    code_score_spec,
    code_tuned_arms,
    zero_adapter_spec,
)
from polymlops.config.coding import domain_of
from polymlops.config.profiles import load_config
from polymlops.config.suites import FileSuiteConfig, HumanEvalConfig, MbppConfig, WorldSuiteConfig
from polymlops.errors import ConfigError

SLICES = {
    "sample": lambda config: code_sample_spec(config, "zero_shot", 0),
    "score": lambda config: code_score_spec(config, "zero_shot", 0),
    "report": code_report_spec,
    "zero": lambda config: zero_adapter_spec(config, 42),
    "mean": lambda config: code_grpo_spec(config, "code_mean", 42),
    "max": lambda config: code_grpo_spec(config, "code_max", 42),
}


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("code.sampling.n=60", {"sample"}),
        ("code.suite={kind: world, seed: 3}", {"sample", "score"}),
        ("code.suite={kind: humaneval}", {"sample", "score", "report"}),
        ("code.scoring.ks=[1, 2]", {"score", "report"}),
        ("code.scoring.limits.cpu_seconds=1", {"score"}),
        ("code_grpo.grpo.steps=50", {"mean", "max"}),
        ("code_grpo.objectives.max.k=3", {"max"}),
        ("code_grpo.reward.limits.cpu_seconds=1", {"mean", "max"}),
        ("lora.r=2", {"zero"}),
        ("sampling.n=11", set()),
        ("sft.epochs=7", set()),
    ],
)
def test_only_these_slices_change(override, changed):
    before, after = load_config("code-grpo"), load_config("code-grpo", [override])
    assert {name for name, slice_of in SLICES.items() if slice_of(before) != slice_of(after)} == changed


def test_every_arm_of_both_phases_is_sampled_and_few_shot_only_with_examples():
    arms = [arm for arm, _ in code_arms(load_config("demo"))]
    assert arms == ["zero_shot", "few_shot", "baseline", "polychromic", "baseline_grpo", "polychromic_grpo"]
    elsewhere = code_arms(load_config("demo", ["code.suite={kind: humaneval}"]))
    assert [arm for arm, _ in elsewhere] == [arm for arm in arms if arm != "few_shot"]
    assert code_tuned_arms(load_config("demo")) == []


def test_only_the_objective_differs_between_arms_trained_on_programs():
    config = load_config("code-grpo")
    mean, best = (code_grpo_spec(config, arm, 42).grpo.model_dump() for arm in ("code_mean", "code_max"))
    assert {name for name in mean if mean[name] != best[name]} == {"objective", "k", "baseline"}
    assert config.code_grpo.reward.suite.split == "train"
    assert config.code.suite.split == "test"


@pytest.mark.parametrize(
    ("suite", "name"),
    [
        (WorldSuiteConfig(), "code_world"),
        (HumanEvalConfig(), "code_humaneval"),
        (MbppConfig(), "code_mbpp"),
        (MbppConfig(variant="sanitized"), "code_mbpp_sanitized"),
        (FileSuiteConfig(path="a/My-Suite.v2.jsonl.gz"), "code_my_suite"),
        (FileSuiteConfig(hub="someone/Their.Suite", revision="0" * 40), "code_their_suite"),
    ],
)
def test_metrics_are_named_by_the_suite(suite, name):
    assert domain_of(suite) == name


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("code.scoring.ks=[1, 51]", "51 is above code.sampling.n = 50"),
        ("code.scoring.ks=[1, 1]", "names one twice"),
        ("code.scoring.ks=[0]", "greater than or equal to 1"),
        ("code_grpo.objectives.max.k=9", "objectives.max: .*k 9 is above samples"),
        ("code_grpo.grpo.alarms.gold_patience=1", "the reward is the truth here"),
        ("arms=[few_shot]", "code_grpo compares with zero_shot"),
    ],
)
def test_what_cannot_be_done_is_refused(override, message):
    with pytest.raises(ConfigError, match=message):
        load_config("code-grpo", [override])
