"""A stage's slice changes with what decides its result, and with nothing else."""

import pytest

from polymlops.config.analysis_slices import adapter_analysis_spec, mechanism_spec, theory_spec
from polymlops.config.profiles import load_config
from polymlops.config.slices import (
    adapter_spec,
    all_arms,
    depth_arms,
    depth_report_spec,
    grpo_arms,
    grpo_spec,
    report_spec,
    sample_spec,
    score_spec,
    trained_arms,
)

SLICES = {
    "baseline": lambda config: adapter_spec(config, "baseline", 42),
    "polychromic": lambda config: adapter_spec(config, "polychromic", 42),
    "sample": lambda config: sample_spec(config, "baseline", 42),
    "score": lambda config: score_spec(config, "baseline", 42),
    "report": report_spec,
    "grpo": lambda config: grpo_spec(config, "baseline_grpo", 42),
    "poly_grpo": lambda config: grpo_spec(config, "polychromic_grpo", 42),
    "adapters": adapter_analysis_spec,
    "mechanism": mechanism_spec,
    "theory": theory_spec,
}


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("polychromic.lambda=0.5", {"polychromic"}),
        ("sft.epochs=7", {"baseline", "polychromic"}),
        ("lora.r=4", {"baseline", "polychromic"}),
        ("evaluation.dynamics_frequency=7", {"baseline", "polychromic"}),
        ("sampling.temperature=0.9", {"baseline", "polychromic", "sample", "grpo", "poly_grpo", "adapters"}),
        ("sampling.n=50", {"sample"}),
        ("sampling.prompts=7", {"sample"}),
        ("evaluation.ks=[1, 2]", {"score", "report"}),
        ("evaluation.resamples=200", {"report"}),
        ("grpo.learning_rate=1", {"grpo", "poly_grpo"}),
        ("grpo.objective=max", {"grpo"}),
        ("polychromic_grpo.objective=max", {"poly_grpo"}),
        ("reward.kind=heuristic", {"grpo", "poly_grpo"}),
        ("gradients.track=false", {"baseline", "polychromic", "grpo", "poly_grpo"}),
        ("gradients.every=3", {"baseline", "polychromic", "grpo", "poly_grpo"}),
        ("analysis.theory.resamples=90", {"theory"}),
        ("analysis.ablation.prompts=9", {"adapters"}),
        ("analysis.mechanism.prompts=9", {"mechanism"}),
        ("reward_model.folds=3", set()),
        ("output_dir=elsewhere", set()),
        ("execution.threads=1", set()),
        ("tracking.price_per_hour=2", set()),
        ("name=other", set()),
    ],
)
def test_only_these_slices_change(override, changed):
    before, after = load_config("demo"), load_config("demo", [override])
    assert {name for name, slice_of in SLICES.items() if slice_of(before) != slice_of(after)} == changed


def test_how_often_gradients_are_recorded_is_of_no_account_where_none_are():
    before, after = (load_config("demo", ["gradients.track=false", f"gradients.every={n}"]) for n in (3, 7))
    assert {name for name, slice_of in SLICES.items() if slice_of(before) != slice_of(after)} == set()


def test_arms_without_training_are_sampled_once():
    config = load_config("demo", ["seeds=[1, 2]", "arms=[zero_shot, baseline, polychromic]"])
    assert trained_arms(config) == [("baseline", 1), ("polychromic", 1), ("baseline", 2), ("polychromic", 2)]
    assert all_arms(config) == [("zero_shot", 0), *trained_arms(config)]


def test_only_the_polychromic_arm_has_its_section():
    config = load_config("demo")
    assert adapter_spec(config, "baseline", 1).polychromic is None
    assert adapter_spec(config, "polychromic", 1).polychromic == config.polychromic


def test_grpo_arms_belong_to_phase_2_beside_what_they_start_from():
    config = load_config("demo", ["seeds=[1, 2]"])
    assert grpo_arms(config) == [(arm, seed) for seed in (1, 2) for arm in ("baseline_grpo", "polychromic_grpo")]
    assert depth_arms(config) == [*trained_arms(config), *grpo_arms(config)]
    assert depth_report_spec(config).arms == ("baseline", "polychromic", "baseline_grpo", "polychromic_grpo")
    assert report_spec(config).arms == ("zero_shot", "few_shot", "baseline", "polychromic")
    assert not {arm for arm, _ in all_arms(config)} & {"baseline_grpo", "polychromic_grpo"}


def test_only_the_objective_differs_between_grpo_arms():
    config = load_config("demo")
    ours, theirs = (grpo_spec(config, arm, 1).grpo.model_dump() for arm in ("baseline_grpo", "polychromic_grpo"))
    named = {name for name in ours if ours[name] != theirs[name]}
    assert named <= {"objective", "k", "baseline", "selector"}
    assert theirs["objective"] == config.polychromic_grpo.objective
