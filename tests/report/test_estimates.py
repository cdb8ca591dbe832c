import numpy as np
import pytest

from polymlops.errors import MetricError
from polymlops.metrics.statistics import two_level_paired_bootstrap
from polymlops.report.comparisons import compare, comparison_pairs
from polymlops.report.estimates import PooledArm, estimate_means, joint_draws


def pooled(arm, seeds, values_SP):
    return PooledArm(arm, seeds, {"quality": np.asarray(values_SP, dtype=float)})


def test_joint_draws_give_the_interval_of_the_two_level_bootstrap():
    rng = np.random.default_rng(0)
    values_SP = rng.normal(size=(4, 1)) * 0.3 + rng.normal(size=(1, 60)) + rng.normal(size=(4, 60))
    draws = joint_draws({"a": values_SP[..., None]}, np.random.default_rng(1), 20_000)["a"]
    (ours,) = estimate_means(values_SP[..., None], draws)
    reference = two_level_paired_bootstrap(values_SP, np.zeros((4, 60)), np.random.default_rng(2), 20_000)
    assert ours.value == pytest.approx(reference.value)
    # Two independent sets of 20,000 draws: their quantiles agree to about 0.01 where the spread is 0.2.
    assert ours.low == pytest.approx(reference.low, abs=0.02)
    assert ours.high == pytest.approx(reference.high, abs=0.02)


def test_draws_of_arms_and_metrics_come_from_the_same_prompts():
    values_PM = np.random.default_rng(0).random((40, 2))
    arms = {"a": values_PM[None], "b": np.stack([values_PM + 1] * 3)}
    draws = joint_draws(arms, np.random.default_rng(1), 500)
    np.testing.assert_allclose(draws["b"], draws["a"] + 1)


def test_an_undefined_prompt_is_left_out_of_its_metric_only():
    values_SPM = np.random.default_rng(0).random((2, 10, 2))
    values_SPM[1, 3, 0] = np.nan
    draws = joint_draws({"a": values_SPM}, np.random.default_rng(1), 300)["a"]
    first, second = estimate_means(values_SPM, draws)
    assert (first.n, second.n) == (9, 10)
    assert first.value == pytest.approx(np.delete(values_SPM[..., 0], 3, axis=1).mean())
    nowhere = np.full((1, 10, 1), np.nan)
    (undefined,) = estimate_means(nowhere, joint_draws({"a": nowhere}, np.random.default_rng(1), 50)["a"])
    assert np.isnan(undefined.value)
    assert undefined.n == 0


def test_one_prompt_has_no_interval():
    values_SPM = np.ones((3, 1, 1))
    (estimate,) = estimate_means(values_SPM, joint_draws({"a": values_SPM}, np.random.default_rng(1), 50)["a"])
    assert estimate.value == 1
    assert np.isnan(estimate.low)


def test_arms_of_other_shapes_are_refused():
    with pytest.raises(MetricError, match="differ"):
        joint_draws({"a": np.ones((1, 3, 1)), "b": np.ones((1, 4, 1))}, np.random.default_rng(0), 10)


def test_pairs_are_trained_against_baseline_and_baseline_against_few_shot():
    arms = ["zero_shot", "few_shot", "baseline", "polychromic", "baseline_grpo"]
    assert comparison_pairs(arms) == [
        ("polychromic", "baseline"),
        ("baseline_grpo", "baseline"),
        ("baseline", "few_shot"),
    ]
    assert comparison_pairs(["polychromic", "zero_shot"]) == []
    assert comparison_pairs(["baseline", "polychromic", "baseline_grpo", "polychromic_grpo"]) == [
        ("polychromic", "baseline"),
        ("baseline_grpo", "baseline"),
        ("polychromic_grpo", "polychromic"),
        ("polychromic_grpo", "baseline_grpo"),
    ]


def test_an_arm_without_training_stands_beside_every_seed():
    values_SP = np.random.default_rng(0).random((3, 20))
    (row,) = compare(
        pooled("baseline", (1, 2, 3), values_SP),
        pooled("few_shot", (0,), values_SP[:1] - 0.1),
        np.random.default_rng(1),
        400,
    )
    assert row.seeds == 3
    assert row.difference.value == pytest.approx((values_SP - values_SP[:1] + 0.1).mean())


def test_other_seeds_are_refused():
    with pytest.raises(MetricError, match=r"\(1, 2\)"):
        compare(
            pooled("a", (1, 2), np.ones((2, 3))), pooled("b", (1, 3), np.ones((2, 3))), np.random.default_rng(0), 100
        )


def test_a_difference_that_may_be_chance_is_not_called_one():
    noise = np.random.default_rng(0).normal(size=(1, 50))
    same, apart = pooled("a", (1,), noise), pooled("b", (1,), noise[:, ::-1] - 2)
    rng = np.random.default_rng(1)
    (no,), (yes,) = compare(same, pooled("b", (1,), noise[:, ::-1]), rng, 1000), compare(same, apart, rng, 1000)
    assert not no.distinguishable
    assert yes.distinguishable
    assert yes.difference.value == pytest.approx(2)
    assert no.minimum_detectable_effect > 0


def test_saturated_metrics_are_flagged():
    full = PooledArm("a", (1,), {"pass_at_1": np.ones((1, 5)), "quality": np.ones((1, 5))})
    rows = compare(full, full, np.random.default_rng(0), 100)
    assert [row.saturated for row in rows] == [True, False]


def test_rounding_is_no_finding():
    (row,) = compare(
        pooled("a", (1,), np.full((1, 9), 0.1 + 0.2)),
        pooled("b", (1,), np.full((1, 9), 0.3)),
        np.random.default_rng(0),
        100,
    )
    assert not row.distinguishable
