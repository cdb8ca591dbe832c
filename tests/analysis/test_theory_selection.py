import math

import numpy as np
import pytest

from polymlops.analysis.theory import normal_maximum, predict_usq_gain, selection_shape
from polymlops.errors import MetricError
from polymlops.metrics.user_selection import usq_at_k


def normal_world(rng, prompts, candidates, rho, sigma=1.0, noise_scale=1.0):
    quality = rng.normal(size=(prompts, candidates))
    selector = rho * quality + math.sqrt(1 - rho**2) * rng.normal(size=quality.shape)
    return 3 + sigma * quality, noise_scale * selector


def test_the_expected_largest_of_normal_numbers():
    known = {1: 0.0, 2: 1 / math.sqrt(math.pi), 3: 1.5 / math.sqrt(math.pi), 10: 1.5387527308, 100: 2.5075936}
    for k, value in known.items():  # 2 and 3 in closed form, the others from tables of normal order statistics
        assert normal_maximum(k) == pytest.approx(value, abs=1e-7)
    draws = np.random.default_rng(0).normal(size=(20_000, 5000 // 100)).max(axis=1)
    assert normal_maximum(50) == pytest.approx(draws.mean(), abs=4 * draws.std() / math.sqrt(len(draws)))
    with pytest.raises(MetricError):
        normal_maximum(0)


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.8, 1.0, -0.5])
def test_the_gain_of_a_normal_world_is_foretold(rho):
    rng = np.random.default_rng(3)
    quality, selector = normal_world(rng, 600, 12, rho, sigma=2.0, noise_scale=50.0)
    for prediction in predict_usq_gain(quality, selector, [1, 3, 10], rng, resamples=2000):
        truth = 2 * rho * normal_maximum(int(prediction.at))
        assert prediction.predicted.value == pytest.approx(truth, abs=0.12)
        assert prediction.measured == pytest.approx(
            float((usq_at_k(quality, selector, int(prediction.at)) - quality.mean(axis=1)).mean())
        )
        assert abs(prediction.residual.value) < 0.05
        assert prediction.holds is True


def test_the_slope_is_unbiased_for_few_candidates():
    quality, selector = normal_world(np.random.default_rng(4), 60_000, 4, 0.6)
    slopes = selection_shape(quality, selector).slope_P
    assert slopes.mean() == pytest.approx(0.6, abs=4 * slopes.std() / math.sqrt(len(slopes)))


def test_one_brilliant_candidate_among_many_breaks_it_visibly():
    rng = np.random.default_rng(5)
    quality = rng.exponential(size=(400, 12)) ** 2
    (prediction,) = predict_usq_gain(quality, quality, [12], rng, resamples=2000)
    assert prediction.holds is False
    assert prediction.residual.low > 0
    assert "skewness of" in prediction.reason


def test_a_selector_that_ties_is_named():
    rng = np.random.default_rng(6)
    quality = rng.normal(size=(300, 10))
    shape = selection_shape(quality, (quality > 1.2).astype(float))
    assert shape.tied_share > 0.5
    assert abs(shape.skewness) < 0.1
    assert f"{shape.tied_share:.0%} of pairs tie" in shape.sentence
    (prediction,) = predict_usq_gain(quality, (quality > 1.2).astype(float), [10], rng, resamples=2000)
    assert prediction.holds is False


def test_a_constant_selector_gains_nothing_exactly():
    quality = np.random.default_rng(7).normal(size=(20, 6))
    (prediction,) = predict_usq_gain(quality, np.zeros((20, 6)), [4], np.random.default_rng(0))
    assert prediction.predicted.value == 0
    assert prediction.measured == pytest.approx(0, abs=1e-12)
    assert prediction.holds is True


def test_prompts_may_differ_in_their_candidates():
    rng = np.random.default_rng(8)
    rows = [rng.normal(size=n) for n in (4, 6, 4, 9)]
    scores = [row + rng.normal(size=len(row)) for row in rows]
    slopes = selection_shape(rows, scores).slope_P
    for p in range(4):
        assert slopes[p] == pytest.approx(selection_shape([rows[p]], [scores[p]]).slope_P[0])
    inside, beyond = predict_usq_gain(rows, scores, [4, 5], rng, resamples=100)
    assert inside.holds is not None
    assert beyond.holds is None
    assert "fewer than k" in beyond.reason


def test_no_prompt_and_one_candidate():
    rng = np.random.default_rng(0)
    with pytest.raises(MetricError, match="at least one prompt"):
        predict_usq_gain([], [], [1], rng)
    (single,) = predict_usq_gain([[1.0], [2.0]], [[0.0], [1.0]], [1], rng)
    assert single.holds is None
    assert math.isnan(single.predicted.value)
