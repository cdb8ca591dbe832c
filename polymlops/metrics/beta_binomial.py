"""The spread of pass rates over prompts as a beta distribution, for pass@k beyond the samples that exist."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats, counts

# Half the 10 % point of chi-square(1): a likelihood-ratio test at 5 % of a share that sits on its border, 0.
ZERO_INFLATION_GAIN = 1.353
# exp(-12) .. exp(14): beyond this the beta is a point, or two points, to every digit that n can show.
LOG_BOUNDS = (-12.0, 14.0)


@dataclass(frozen=True, slots=True)
class BetaBinomialFit:
    """Pass rates over prompts: 0 for a share `zero_share` of them, Beta(a, b) for the others."""

    a: float
    b: float
    zero_share: float
    log_likelihood: float
    prompts: int

    def pass_at_k(self, k: int) -> float:
        """Expected pass@k for any k, also above n: (1 - zero_share) (1 - B(a,b+k)/B(a,b)). NaN where no sample passed.

        Raises: MetricError for k below 1.
        """
        from scipy.special import betaln

        if k < 1:
            raise MetricError(f"k must be 1 or more, not {k}")
        if math.isinf(self.a):
            return 1.0 - self.zero_share
        return (1.0 - self.zero_share) * float(-np.expm1(betaln(self.a, self.b + k) - betaln(self.a, self.b)))


def beta_binomial_fit(n: ArrayLike, c: ArrayLike) -> BetaBinomialFit:
    """Fit Beta(a, b) to the counts of `c` (P,) passes in `n` (P,) samples by maximum likelihood.

    A share of prompts that never pass is added only where the likelihood asks for it (ratio test, 5 %). Where no
    sample of any prompt passed, nothing can be told: a, b and every extrapolation are NaN. Where every sample
    passed, a is infinite and pass@k is 1.

    Raises: MetricError for NaN, c above n, no prompt, or a prompt without samples.
    Source: Levi 2024 (arXiv:2407.04502) and Schaeffer et al. 2025 (arXiv:2502.17578); zero inflation and its test
    are ours.
    """
    n_P, c_P = np.broadcast_arrays(np.atleast_1d(counts(n, "n")), np.atleast_1d(counts(c, "c")))
    if n_P.size == 0 or (n_P == 0).any() or (c_P > n_P).any():
        raise MetricError("a beta-binomial fit needs prompts with n > 0 samples and 0 <= c <= n")
    if not c_P.any():
        return BetaBinomialFit(math.nan, math.nan, math.nan, math.nan, n_P.size)
    if (c_P == n_P).all():
        return BetaBinomialFit(math.inf, 0.0, 0.0, 0.0, n_P.size)
    return _best_fit(n_P, c_P)


def _best_fit(n_P: np.ndarray, c_P: np.ndarray) -> BetaBinomialFit:
    pairs_U2, weight_U = np.unique(np.stack([n_P, c_P], axis=1), axis=0, return_counts=True)
    cost = _negative_log_likelihood(pairs_U2[:, 0].astype(float), pairs_U2[:, 1].astype(float), weight_U)
    rate = float(c_P.sum() / n_P.sum())
    plain = min((_minimise(cost, _start(rate, total)) for total in (0.5, 5.0, 100.0)), key=lambda fit: fit[1])
    logs, value, zero_share = plain[0], plain[1], 0.0
    if (c_P == 0).any():
        share = float((c_P == 0).mean())
        starts = [
            [*_start(min(rate / (1 - s), 0.99), total), math.log(s / (1 - s))]
            for s in (share / 2, share * 0.95)
            for total in (1.0, 20.0)
        ]
        inflated = min((_minimise(cost, start) for start in starts), key=lambda fit: fit[1])
        if value - inflated[1] > ZERO_INFLATION_GAIN:
            logs, value, zero_share = inflated[0], inflated[1], 1 / (1 + math.exp(-inflated[0][2]))
    return BetaBinomialFit(math.exp(logs[0]), math.exp(logs[1]), zero_share, -value, n_P.size)


def _start(rate: float, total: float) -> list[float]:
    return [math.log(rate * total), math.log((1 - rate) * total)]


def _negative_log_likelihood(n_U: Floats, c_U: Floats, weight_U: np.ndarray) -> Callable[[Floats], float]:
    """Cost of (log a, log b) or (log a, log b, logit zero share)."""
    from scipy.special import betaln, gammaln

    ways_U = gammaln(n_U + 1) - gammaln(c_U + 1) - gammaln(n_U - c_U + 1)

    def cost(parameters: Floats) -> float:
        a, b = np.exp(parameters[:2])
        log_U = ways_U + betaln(a + c_U, b + n_U - c_U) - betaln(a, b)
        if len(parameters) == 3:
            log_share, log_rest = -np.logaddexp(0, -parameters[2]), -np.logaddexp(0, parameters[2])
            log_U = np.where(c_U == 0, np.logaddexp(log_share, log_rest + log_U), log_rest + log_U)
        return -float(weight_U @ log_U)

    return cost


def _minimise(cost: Callable[[Floats], float], start: list[float]) -> tuple[Floats, float]:
    from scipy.optimize import minimize

    bounds = [LOG_BOUNDS] * len(start)
    # On ridges (a and b large) it climbs higher than L-BFGS-B with numerical gradients, and it starts no BLAS threads.
    result = minimize(
        cost, np.clip(start, *LOG_BOUNDS), method="Nelder-Mead", bounds=bounds, options={"xatol": 1e-7, "fatol": 1e-9}
    )
    return result.x, float(result.fun)
