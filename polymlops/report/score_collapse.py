"""The collapse point of an arm with its interval over prompts and, where there are several, seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from polymlops.evaluation.candidate_scores import ArmValues
from polymlops.metrics.collapse_point import CollapsePoint, collapse_ks, collapse_point
from polymlops.metrics.pass_at_k import pass_at_k
from polymlops.report.estimates import TAILS, joint_draws

CURVES = 2**22  # values of resampled curves held at once, 32 MB


@dataclass(frozen=True, slots=True)
class ArmCollapse:
    """Collapse point over the prompts that every seed answers, all candidates judged; `n` is their smallest number."""

    point: CollapsePoint
    prompts: int
    n: int


def arm_collapse(arm: ArmValues, threshold: float, rng: np.random.Generator, resamples: int) -> ArmCollapse | None:
    """Where the dense pass@k curve flattens; none where nobody judged passes, or no prompt is answered by every seed.

    Prompts of which a candidate could not be judged are left out: every point of a curve is of the same prompts.

    Raises: MetricError for a threshold that is not positive.
    """
    answered_P = ((arm.n_SP > 0) & (arm.counted_SP == arm.n_SP)).all(axis=0)
    if arm.passes_SP is None or not answered_P.any():
        return None
    n_SP, passes_SP = arm.n_SP[:, answered_P], arm.passes_SP[:, answered_P]
    smallest, prompts = int(n_SP.min()), int(answered_P.sum())
    ks = np.arange(1, smallest + 1)
    curves_SPM = pass_at_k(n_SP, passes_SP, ks)
    mean_M = curves_SPM.mean(axis=(0, 1))
    point = collapse_point(dict(zip(ks.tolist(), mean_M.tolist(), strict=True)), threshold)
    if smallest < 2 or prompts < 2:
        return ArmCollapse(point, prompts, smallest)
    found, block = [], max(1, CURVES // smallest)
    for start in range(0, resamples, block):
        draws = joint_draws({arm.arm: curves_SPM}, rng, min(block, resamples - start))
        found.append(collapse_ks(ks, draws[arm.arm], threshold))
    # A collapse point is a whole number or infinite: an interpolated quantile would be neither.
    low, high = np.quantile(np.concatenate(found), TAILS, method="inverted_cdf")
    return ArmCollapse(CollapsePoint(point.k, point.reason, threshold, float(low), float(high)), prompts, smallest)


def interval_words(collapse: ArmCollapse) -> str:
    """The interval for people: "4 to beyond n = 10"; empty where there is none."""
    ends = (collapse.point.low, collapse.point.high)
    if any(math.isnan(end) for end in ends):
        return ""
    low, high = (f"beyond n = {collapse.n}" if math.isinf(end) else f"{end:.0f}" for end in ends)
    return low if low == high else f"{low} to {high}"
