"""Predictions of theory beside measurements, with residuals and where each fails.

- pass@k beyond the samples, from a beta-binomial fit (`predict_pass_at_k`)
- what a selector is worth, from its correlation with quality and the spread within prompts (`predict_usq_gain`)
- reward over training from entropy, R = -a e^H + b (`fit_entropy_law`, `entropy_law_of`)
- the KL that best-of-n costs, log n - (n-1)/n (`check_best_of_n_kl`)
- the range that DER cannot leave (`check_der_bounds`)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from polymlops.analysis.theory_entropy import EntropyLaw, entropy_law_of, fit_entropy_law
from polymlops.analysis.theory_extrapolation import predict_pass_at_k
from polymlops.analysis.theory_predictions import ROUNDING, Prediction, Row, undefined
from polymlops.analysis.theory_selection import SelectionShape, normal_maximum, predict_usq_gain, selection_shape
from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats, candidate_counts, vector
from polymlops.metrics.diversity_efficiency import der_bounds, diversity_efficiency_ratio
from polymlops.records import Estimate

__all__ = [
    "EntropyLaw",
    "Prediction",
    "SelectionShape",
    "TheoryReport",
    "best_of_n_distribution",
    "check_best_of_n_kl",
    "check_der_bounds",
    "entropy_law_of",
    "fit_entropy_law",
    "normal_maximum",
    "predict_pass_at_k",
    "predict_usq_gain",
    "selection_shape",
]

TIGHT = 0.05  # share of the predicted KL by which the exact one may fall short before the formula is called loose


@dataclass(frozen=True, slots=True)
class TheoryReport:
    """All predictions of one arm."""

    arm: str
    predictions: tuple[Prediction, ...]

    def rows(self) -> list[Row]:
        """One row a prediction."""
        return [{"arm": self.arm, **prediction.row()} for prediction in self.predictions]

    @property
    def failures(self) -> tuple[Prediction, ...]:
        """Predictions that the measurements contradict."""
        return tuple(prediction for prediction in self.predictions if prediction.holds is False)


def check_best_of_n_kl(probabilities: ArrayLike, scores: ArrayLike, ns: Sequence[int]) -> tuple[Prediction, ...]:
    """KL(best of n || policy) by the formula log n - (n-1)/n, in nats, beside the exact KL of a finite policy.

    `probabilities` (Y,) sum to 1 and `scores` (Y,) rank the outcomes; ties are broken at random. The formula is exact
    where no outcome has much probability, and an upper bound where one has, as of a collapsed policy.

    Raises: MetricError for probabilities that are none, scores of another length, or n below 1.
    Source: Beirami et al. 2024, arXiv:2401.01879.
    """
    policy_Y = _distribution(probabilities, scores)
    largest = float(policy_Y.max())
    predictions = []
    for n in candidate_counts(ns).tolist():
        best_Y = best_of_n_distribution(probabilities, scores, n)
        chosen_Y = best_Y > 0
        exact = float(np.sum(best_Y[chosen_Y] * np.log(best_Y[chosen_Y] / policy_Y[chosen_Y])))
        formula = math.log(n) - (n - 1) / n
        short = formula - exact
        holds = -ROUNDING <= short <= TIGHT * formula + ROUNDING
        reason = "within 5 % of the exact KL"
        if not holds:
            reason = f"an upper bound only: the likeliest outcome has probability {largest:.2g}, so that draws repeat"
        predicted = Estimate(formula, 0.0, formula)
        predictions.append(Prediction("best-of-n KL", n, predicted, exact, Estimate(exact - formula), holds, reason))
    return tuple(predictions)


def best_of_n_distribution(probabilities: ArrayLike, scores: ArrayLike, n: int) -> Floats:
    """Chance (Y,) of each outcome to be the best scored of n draws; among tied ones, in proportion to the policy.

    Raises: MetricError as in `check_best_of_n_kl`.
    """
    candidate_counts(n)
    policy_Y = _distribution(probabilities, scores)
    _, rank_Y = np.unique(np.asarray(scores), return_inverse=True)
    mass_V = np.bincount(rank_Y, weights=policy_Y)
    up_to_V = np.minimum(np.cumsum(mass_V), 1.0)
    up_to_V[-1] = 1.0
    best_V = np.diff(up_to_V**n, prepend=0.0)
    share_Y = np.divide(policy_Y, mass_V[rank_Y], out=np.zeros_like(policy_Y), where=mass_V[rank_Y] > 0)
    return best_V[rank_Y] * share_Y


def check_der_bounds(curve: Mapping[int, float]) -> tuple[Prediction, ...]:
    """DER@k of a pass@k curve beside the range that it cannot leave, [1/k, min(1, 1/(k pass@1))].

    Outside means that the curve is none of one sample set: other samples at some k, or an estimate that is biased.

    Raises: MetricError where the curve has no k = 1, holds NaN, or leaves [0, 1].
    """
    ratio, bounds = diversity_efficiency_ratio(curve), der_bounds(curve)
    predictions = []
    for k, der in ratio.items():
        low, high = bounds[k].low, bounds[k].high
        if math.isnan(der):
            predictions.append(undefined("DER bounds", k, "no sample passes: DER is undefined"))
            continue
        left = max(der - high, 0.0) - max(low - der, 0.0)
        holds = abs(left) <= ROUNDING
        reason = "inside" if holds else "outside: the points of the curve are not of one sample set"
        predicted = Estimate(math.nan, low, high)
        predictions.append(Prediction("DER bounds", k, predicted, der, Estimate(left), holds, reason))
    return tuple(predictions)


def _distribution(probabilities: ArrayLike, scores: ArrayLike) -> Floats:
    policy_Y, scores_Y = vector(probabilities, "probabilities"), vector(scores, "scores")
    if len(policy_Y) == 0 or policy_Y.shape != scores_Y.shape:
        raise MetricError(f"{len(policy_Y)} probabilities and {len(scores_Y)} scores: one each an outcome is needed")
    if (policy_Y < 0).any() or not math.isclose(float(policy_Y.sum()), 1.0, abs_tol=1e-6):
        raise MetricError(f"probabilities must be 0 or more and sum to 1, not to {policy_Y.sum():.6g}")
    return policy_Y / policy_Y.sum()
