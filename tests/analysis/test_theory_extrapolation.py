import numpy as np
import pytest

from polymlops.analysis.theory import predict_pass_at_k
from polymlops.errors import MetricError
from polymlops.metrics.pass_at_k import beta_binomial_fit, pass_at_k_curve


def test_held_out_ks_are_foretold_where_rates_are_beta_distributed():
    rng = np.random.default_rng(0)
    c_P = rng.binomial(32, rng.beta(0.7, 2.0, 400))
    found = predict_pass_at_k(32, c_P, [1, 16, 24, 32], rng, resamples=60)
    measured = pass_at_k_curve(32, c_P, [1, 16, 24, 32])
    for prediction in found:
        assert prediction.measured == pytest.approx(measured[prediction.at])
        assert prediction.residual.value == pytest.approx(prediction.measured - prediction.predicted.value)
        assert abs(prediction.residual.value) < 0.02
        assert prediction.holds is True
        assert prediction.residual.n == 400


def test_two_kinds_of_prompts_break_it_visibly():
    rng = np.random.default_rng(1)
    c_P = rng.binomial(40, np.where(rng.random(300) < 0.5, 0.05, 0.95))
    *_, last = predict_pass_at_k(40, c_P, [1, 40], rng, resamples=60)
    assert last.holds is False
    assert last.residual.low > 0.05
    assert "not beta-distributed (held-out k)" in last.reason


def test_only_half_of_the_samples_is_seen():
    # Every prompt passes in exactly 4 of 8: the drawn half holds 0 to 4 of 4, by the hypergeometric distribution.
    c_P = np.full(500, 4)
    (prediction,) = predict_pass_at_k(8, c_P, [2], np.random.default_rng(5), resamples=2)
    seen_P = np.random.default_rng(5).hypergeometric(c_P, 8 - c_P, 4)
    assert prediction.predicted.value == pytest.approx(beta_binomial_fit(4, seen_P).pass_at_k(2))
    assert prediction.measured == pytest.approx(1 - 6 / 28)


def test_the_same_generator_gives_the_same_prediction():
    c_P = np.random.default_rng(0).binomial(10, 0.3, 50)
    runs = [predict_pass_at_k(10, c_P, [5, 10], np.random.default_rng(2), resamples=10) for _ in range(2)]
    assert runs[0] == runs[1]


def test_what_cannot_be_predicted_says_why():
    rng = np.random.default_rng(0)
    inside, beyond = predict_pass_at_k([6, 9], [2, 3], [6, 7], rng, resamples=5)
    assert inside.holds is not None or "no interval" in inside.reason
    assert beyond.holds is None
    assert "has 6 samples, fewer than k" in beyond.reason
    (nothing,) = predict_pass_at_k(10, [0, 0, 0], [5], rng, resamples=5)
    assert nothing.holds is None
    assert "no sample of the drawn half passed" in nothing.reason
    assert np.isnan(nothing.predicted.value)


@pytest.mark.parametrize(("n", "c"), [([], []), (1, [1, 0]), (4, [5]), (4, [np.nan])])
def test_counts_without_meaning_are_refused(n, c):
    with pytest.raises(MetricError):
        predict_pass_at_k(n, c, [1], np.random.default_rng(0))
