"""Which domains are compared, and from which arm."""

from polymlops.config.creative_slices import cross_domain_specs
from polymlops.config.schema import ExperimentConfig


def test_gains_are_measured_from_the_base_model_and_from_plain_fine_tuning():
    specs = cross_domain_specs(ExperimentConfig())
    assert {base: spec.trained for base, spec in specs.items()} == {
        "zero_shot": ("baseline", "polychromic", "baseline_grpo", "polychromic_grpo"),
        "baseline": ("polychromic", "baseline_grpo", "polychromic_grpo"),
    }
    assert list(specs["baseline"].domains) == ["social", "code", "creative"]
    assert specs["baseline"].domains["code"].quality == "pass_at_1"


def test_nothing_to_compare_is_no_analysis():
    assert cross_domain_specs(ExperimentConfig(code=None, creative=None)) == {}
    assert cross_domain_specs(ExperimentConfig(arms=("zero_shot", "few_shot"))) == {}
    assert list(cross_domain_specs(ExperimentConfig(arms=("baseline", "polychromic")))) == ["baseline"]


def test_k_is_what_every_domain_has():
    config = ExperimentConfig(evaluation={"ks": (1, 4, 10)}, code={"scoring": {"ks": (4, 5)}}, creative=None)
    assert cross_domain_specs(config)["baseline"].ks == (1, 4)
