"""Pass@k foretold from half of the samples: the beta-binomial fit against what all samples then show.

For each prompt half of its n samples are drawn without replacement, a beta distribution of pass rates is fitted to the
counts, and pass@k is predicted for every k up to n. The unbiased estimate from all n samples is the measurement, and
ks above n / 2 are those that the fit could not see.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from polymlops.analysis.theory_predictions import Prediction, judged, undefined
from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats, Ints, candidate_counts, counts
from polymlops.metrics.pass_at_k import beta_binomial_fit, pass_at_k
from polymlops.metrics.statistics.bootstrap import interval

TAILS = (0.025, 0.975)


def predict_pass_at_k(
    n: ArrayLike, c: ArrayLike, ks: Sequence[int], rng: np.random.Generator, resamples: int = 200
) -> tuple[Prediction, ...]:
    """Predict pass@k at `ks` from a random half of each prompt's samples, beside the unbiased estimate from all.

    `n` samples of which `c` pass, scalars or (P,). The residual's interval comes from resampled prompts, the fit done
    anew each time. A k above a prompt's n is undefined.

    Raises: MetricError for NaN, c above n, no prompt, fewer than 2 samples, or k below 1.
    """
    n_P, c_P = np.broadcast_arrays(np.atleast_1d(counts(n, "n")), np.atleast_1d(counts(c, "c")))
    if n_P.size == 0 or (n_P < 2).any() or (c_P > n_P).any():
        raise MetricError("an extrapolation needs prompts with n >= 2 samples and c <= n of them passing")
    half_P = n_P // 2
    seen_P = rng.hypergeometric(c_P, n_P - c_P, half_P)
    grid_M = candidate_counts(ks)
    whole_PM = pass_at_k(n_P, c_P, grid_M)
    predicted_M = _fitted(half_P, seen_P, grid_M)
    residual_M = whole_PM.mean(axis=0) - predicted_M
    draws_RM = np.empty((resamples, len(grid_M)))
    for row in range(resamples):
        drawn_P = rng.integers(0, len(n_P), len(n_P))
        draws_RM[row] = whole_PM[drawn_P].mean(axis=0) - _fitted(half_P[drawn_P], seen_P[drawn_P], grid_M)
    return tuple(
        _prediction(int(k), predicted_M[m], (float(residual_M[m]), draws_RM[:, m]), n_P, half_P)
        for m, k in enumerate(grid_M)
    )


def _fitted(n_P: Ints, c_P: Ints, ks_M: Ints) -> Floats:
    fit = beta_binomial_fit(n_P, c_P)
    return np.array([fit.pass_at_k(int(k)) for k in ks_M])


def _prediction(k: int, predicted: float, residual: tuple[float, Floats], n_P: Ints, half_P: Ints) -> Prediction:
    if k > n_P.min():
        return undefined("pass@k, beta-binomial", k, f"some prompt has {n_P.min()} samples, fewer than k")
    if math.isnan(predicted):
        return undefined("pass@k, beta-binomial", k, "no sample of the drawn half passed: nothing can be fitted")
    value, draws_R = residual
    estimate = interval(value, draws_R, TAILS, len(n_P))
    why = "held-out k" if k > half_P.max() else "a k that the fit could see"
    return judged(
        "pass@k, beta-binomial", k, float(predicted), estimate, f"pass rates are not beta-distributed ({why})"
    )
