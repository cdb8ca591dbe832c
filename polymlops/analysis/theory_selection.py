"""What a selector should be worth by normal theory, beside what it is worth.

Where quality q and selector score s are jointly normal within a prompt, the pick among k has an expected quality of

    mean + rho sigma m_k,   rho = corr(s, q),  sigma = sd(q),  m_k = E[largest of k standard normals]

per prompt, whatever the selector's scale. It fails where quality is skewed or has two values, where the selector ties,
or where it ranks well at the top only (or worst).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polymlops.analysis.theory_predictions import Prediction, judged, undefined
from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats, Rows, candidate_counts, paired_blocks
from polymlops.metrics.statistics import bootstrap_mean
from polymlops.metrics.user_selection import usq_at_k


@dataclass(frozen=True, slots=True)
class SelectionShape:
    """What normal theory assumes, as measured within prompts: means over prompts, and how normal they look.

    `slope_P` is rho sigma of each prompt. `skewness` is of quality around the prompt's mean (0 where normal);
    `tied_share` the share of pairs of a prompt's candidates that the selector does not tell apart (0 where normal).
    """

    slope_P: Floats
    skewness: float
    tied_share: float

    @property
    def sentence(self) -> str:
        """The assumptions in words."""
        return f"quality has a skewness of {self.skewness:.2f} within prompts, {self.tied_share:.0%} of pairs tie"


def predict_usq_gain(
    quality_PK: Rows, selector_PK: Rows, ks: Sequence[int], rng: np.random.Generator, resamples: int = 10_000
) -> tuple[Prediction, ...]:
    """Predict USQ@k - mean from correlation and spread, beside the measured gain; the interval is over prompts.

    Both are (P, K), or P rows of unequal length. Undefined where a prompt has fewer than k candidates, or fewer than 2.

    Raises: MetricError as in `usq_at_k`, and where there is no prompt.
    """
    grid_M = candidate_counts(ks)
    mean_P = usq_at_k(quality_PK, selector_PK, 1)
    if len(mean_P) == 0:
        raise MetricError("a prediction of the USQ gain needs at least one prompt")
    gain_PM = usq_at_k(quality_PK, selector_PK, grid_M) - mean_P[:, None]
    shape = selection_shape(quality_PK, selector_PK)
    predictions = []
    for m, k in enumerate(grid_M):
        predicted_P = shape.slope_P * normal_maximum(int(k))
        if np.isnan(predicted_P).any() or np.isnan(gain_PM[:, m]).any():
            reason = "some prompt has fewer than k candidates, or fewer than 2"
            predictions.append(undefined("USQ gain, normal", int(k), reason))
            continue
        residual = bootstrap_mean(gain_PM[:, m] - predicted_P, rng, resamples)
        predictions.append(judged("USQ gain, normal", int(k), float(predicted_P.mean()), residual, shape.sentence))
    return tuple(predictions)


def selection_shape(quality_PK: Rows, selector_PK: Rows) -> SelectionShape:
    """rho sigma of every prompt, unbiased under normality, and how far the scores are from normal.

    0 where quality or selector is constant within the prompt, NaN for fewer than 2 candidates.
    """
    pairs = list(paired_blocks(quality_PK, selector_PK, "quality_PK", "selector_PK"))
    slope_P = np.full(sum(len(quality.prompts_B) for quality, _ in pairs), np.nan)
    cubes, squares, ties, compared = 0.0, 0.0, 0, 0
    for quality, selector in pairs:
        q_BK, s_BK = (np.asarray(block.values_BK, dtype=np.float64) for block in (quality, selector))
        candidates = q_BK.shape[1]
        if candidates < 2:
            continue
        slope_P[quality.prompts_B] = _slopes(q_BK, s_BK)
        centred_BK = q_BK - q_BK.mean(axis=1, keepdims=True)
        cubes, squares = cubes + float((centred_BK**3).sum()), squares + float((centred_BK**2).sum())
        ties += int((s_BK[:, :, None] == s_BK[:, None, :]).sum()) - s_BK.size
        compared += s_BK.size * (candidates - 1)
    count = sum(block.values_BK.size for block, _ in pairs if block.values_BK.shape[1] > 1)
    skewness = cubes / count / (squares / count) ** 1.5 if squares > 0 else 0.0
    return SelectionShape(slope_P, skewness, ties / compared if compared else float("nan"))


def normal_maximum(k: int) -> float:
    """Expected largest of k independent standard normal numbers. Raises MetricError for k below 1."""
    from scipy.integrate import quad
    from scipy.special import log_ndtr

    if k < 1:
        raise MetricError(f"k must be 1 or more, not {k}")

    def weighted(x: float) -> float:
        return float(x * k * np.exp((k - 1) * log_ndtr(x) - x * x / 2) / np.sqrt(2 * np.pi))

    # In halves around the peak: quad over the whole line may miss it for large k.
    peak = float(np.sqrt(2 * np.log(k))) if k > 1 else 0.0
    return float(sum(quad(weighted, *ends, epsabs=1e-12, limit=200)[0] for ends in ((-40.0, peak), (peak, 40.0))))


def _slopes(q_BK: Floats, s_BK: Floats) -> Floats:
    """cov(q, s) / sd(s), divided by what a sample standard deviation of normal numbers falls short of the true one."""
    from scipy.special import gammaln

    n = q_BK.shape[1]
    q_BK, s_BK = q_BK - q_BK.mean(axis=1, keepdims=True), s_BK - s_BK.mean(axis=1, keepdims=True)
    short = np.sqrt(2 / (n - 1)) * np.exp(gammaln(n / 2) - gammaln((n - 1) / 2))
    spread_B = np.sqrt((s_BK**2).sum(axis=1) / (n - 1))
    covariance_B = (q_BK * s_BK).sum(axis=1) / (n - 1)
    return np.divide(covariance_B, spread_B * short, out=np.zeros(len(q_BK)), where=spread_B > 0)
