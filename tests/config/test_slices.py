"""A stage's slice changes with what decides its result, and with nothing else."""

import pytest

from polymlops.config.profiles import load_config
from polymlops.config.slices import adapter_spec, all_arms, report_spec, sample_spec, score_spec, trained_arms

SLICES = {
    "baseline": lambda config: adapter_spec(config, "baseline", 42),
    "polychromic": lambda config: adapter_spec(config, "polychromic", 42),
    "sample": lambda config: sample_spec(config, "baseline", 42),
    "score": lambda config: score_spec(config, "baseline", 42),
    "report": report_spec,
}


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("polychromic.lambda=0.5", {"polychromic"}),
        ("sft.epochs=7", {"baseline", "polychromic"}),
        ("lora.r=4", {"baseline", "polychromic"}),
        ("evaluation.dynamics_frequency=7", {"baseline", "polychromic"}),
        ("sampling.temperature=0.9", {"baseline", "polychromic", "sample"}),
        ("sampling.n=50", {"sample"}),
        ("sampling.prompts=7", {"sample"}),
        ("evaluation.ks=[1, 2]", {"score", "report"}),
        ("evaluation.resamples=200", {"report"}),
        ("output_dir=elsewhere", set()),
        ("execution.threads=1", set()),
        ("tracking.price_per_hour=2", set()),
        ("name=other", set()),
    ],
)
def test_only_these_slices_change(override, changed):
    before, after = load_config("demo"), load_config("demo", [override])
    assert {name for name, slice_of in SLICES.items() if slice_of(before) != slice_of(after)} == changed


def test_arms_without_training_are_sampled_once():
    config = load_config("demo", ["seeds=[1, 2]", "arms=[zero_shot, baseline, polychromic]"])
    assert trained_arms(config) == [("baseline", 1), ("polychromic", 1), ("baseline", 2), ("polychromic", 2)]
    assert all_arms(config) == [("zero_shot", 0), *trained_arms(config)]


def test_only_the_polychromic_arm_has_its_section():
    config = load_config("demo")
    assert adapter_spec(config, "baseline", 1).polychromic is None
    assert adapter_spec(config, "polychromic", 1).polychromic == config.polychromic
