import math

import numpy as np
import pytest

from polymlops.analysis.theory import entropy_law_of, fit_entropy_law
from polymlops.errors import MetricError

STEPS = np.arange(1, 101) * 10


def falling_entropy(rng, noise=0.05):
    return 1.2 * np.exp(-STEPS / 400) + noise * rng.normal(size=len(STEPS)) * 0.2


def test_the_law_is_recovered_from_a_world_where_it_is_true():
    covered = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        entropy = falling_entropy(rng)
        reward = -0.4 * np.exp(entropy) + 1.5 + 0.05 * rng.normal(size=len(STEPS))
        law = fit_entropy_law(STEPS, entropy, reward)
        assert law.a.value == pytest.approx(0.4, abs=0.05)
        assert law.b == pytest.approx(1.5, abs=0.1)
        assert law.ceiling == pytest.approx(1.1, abs=0.06)
        assert law.r_squared > 0.85
        covered += law.a.low <= 0.4 <= law.a.high
    assert covered >= 53  # of 60; 57 expected, binomial 1 % tail below


def test_holds_is_rarely_denied_to_a_true_law():
    verdicts = []
    for seed in range(100):
        rng = np.random.default_rng(1000 + seed)
        entropy = falling_entropy(rng)
        verdicts.append(fit_entropy_law(STEPS, entropy, 1 - 0.3 * np.exp(entropy) + 0.05 * rng.normal(size=100)).holds)
    assert verdicts.count(True) >= 95


def test_predictions_stand_beside_measurements_with_residuals():
    rng = np.random.default_rng(0)
    entropy = falling_entropy(rng)
    reward = 1 - 0.3 * np.exp(entropy) + 0.05 * rng.normal(size=100)
    law = fit_entropy_law(STEPS, entropy, reward)
    assert [p.at for p in law.predictions] == STEPS.tolist()
    for prediction, h, r in zip(law.predictions, entropy, reward, strict=True):
        assert prediction.measured == r
        assert prediction.predicted.value == pytest.approx(-law.a.value * math.exp(h) + law.b)
        assert prediction.residual.value == pytest.approx(r - prediction.predicted.value)
    residuals = np.array([p.residual.value for p in law.predictions])
    assert law.r_squared == pytest.approx(1 - residuals.var() / reward.var())
    assert law.step_correlation == pytest.approx(residuals[1:] @ residuals[:-1] / (residuals @ residuals))
    slope, intercept = np.polyfit(np.exp(entropy[:50]), reward[:50], 1)
    held_out = reward[50:] - slope * np.exp(entropy[50:]) - intercept
    assert law.held_out_rmse == pytest.approx(math.sqrt(np.mean(held_out**2)))
    assert law.held_out_spread == pytest.approx(reward[50:].std())


def test_an_exact_line_is_no_curve():
    entropy = 1.2 * np.exp(-STEPS / 400)
    law = fit_entropy_law(STEPS, entropy, 2 - 0.5 * np.exp(entropy))
    assert law.holds is True
    assert law.r_squared == pytest.approx(1)
    assert law.a.value == pytest.approx(0.5)


def test_a_bent_relation_and_one_of_the_other_sign_fail_visibly():
    rng = np.random.default_rng(2)
    entropy = falling_entropy(rng, noise=1.0)
    noise = 0.02 * rng.normal(size=100)
    bent = fit_entropy_law(STEPS, entropy, 1 - 0.2 * np.exp(entropy) ** 3 / 10 + noise)
    assert bent.holds is False
    assert bent.curvature_p < 0.01
    assert "bend" in bent.reason
    rising = fit_entropy_law(STEPS, entropy, 0.3 * np.exp(entropy) + noise)
    assert rising.holds is False
    assert "reward rises with entropy" in rising.reason


def test_no_relation_is_left_undecided():
    rng = np.random.default_rng(3)
    undecided = [
        fit_entropy_law(STEPS, falling_entropy(rng), 1 + 0.1 * rng.normal(size=100)).holds is None for _ in range(40)
    ]
    assert sum(undecided) >= 32


def test_steps_that_hang_together_widen_the_interval():
    rng = np.random.default_rng(4)
    entropy = falling_entropy(rng)
    white = 0.05 * rng.normal(size=100)
    drift = np.zeros(100)
    for t in range(1, 100):
        drift[t] = 0.9 * drift[t - 1] + white[t]
    drift *= white.std() / drift.std()
    laws = [fit_entropy_law(STEPS, entropy, 1 - 0.3 * np.exp(entropy) + noise) for noise in (white, drift)]
    assert laws[1].step_correlation > 0.5
    assert laws[1].a.high - laws[1].a.low > 2 * (laws[0].a.high - laws[0].a.low)


def test_an_entropy_that_does_not_vary_leaves_the_law_undefined():
    law = fit_entropy_law(STEPS, np.full(100, 0.7), np.linspace(0, 1, 100))
    assert law.holds is None
    assert law.reason == "the entropy does not vary over the run"
    assert math.isnan(law.a.value)
    assert math.isnan(law.ceiling)
    assert law.predictions == ()


def test_missing_numbers_are_counted_and_few_steps_are_refused():
    entropy, reward = np.linspace(1, 0.5, 10), np.linspace(0, 1, 10)
    entropy[2] = math.nan
    law = fit_entropy_law(range(10), entropy, reward)
    assert law.left_out == 1
    assert len(law.predictions) == 9
    short = fit_entropy_law(range(5), entropy[:5], reward[:5])
    assert short.holds is None
    assert short.left_out == 1
    assert "4 logged steps" in short.reason
    flat = fit_entropy_law(range(10), np.linspace(1, 0.5, 10), np.ones(10))
    assert math.isnan(flat.r_squared)


def test_a_trainers_log_is_read_by_its_entries_with_a_reward():
    entropy = np.linspace(1, 0.3, 12)
    log = [
        {"step": step, "loss": 0.1} | ({"reward": 1 - 0.2 * math.exp(h)} if step != 3 else {}) | {"entropy": h}
        for step, h in enumerate(entropy)
    ]
    del log[5]["entropy"]
    law = entropy_law_of([*log, {"step": 12, "eval_loss": 1.0}])
    assert law.a.value == pytest.approx(0.2)
    assert law.left_out == 1
    assert [p.at for p in law.predictions] == [0, 1, 2, 4, 6, 7, 8, 9, 10, 11]
    row = law.row()
    assert (row["steps"], row["left_out"], row["holds"]) == (10, 1, True)
    assert row["ceiling"] == pytest.approx(0.8)
    assert entropy_law_of([{"step": 1, "loss": 2.0}]).holds is None


@pytest.mark.parametrize("steps", [[1, 2, 2], [3, 2, 1], [1, 2]])
def test_logs_that_are_none_are_refused(steps):
    with pytest.raises(MetricError):
        fit_entropy_law(steps, [1, 2, 3], [1, 2, 3])
