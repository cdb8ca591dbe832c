"""The entropy-reward law R = -a e^H + b over the steps of a reinforcement learning run.

The law says that reward is bought with entropy, so that an exhausted entropy caps the reward at b - a. It is fitted by
least squares over the logged steps. Logged steps hang together: intervals and tests count effective steps,
T (1 - r1) / (1 + r1) with r1 the residuals' correlation from one step to the next.

Source: Cui et al. 2025, arXiv:2505.22617, eq. 4; the tests of its shape are ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from polymlops.analysis.theory_predictions import Prediction, Row
from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats
from polymlops.records import Estimate

FEWEST_STEPS = 8
CURVED = 0.01  # p below which a bend in the residuals is no chance
LEAST_SPREAD = 1e-6  # of e^H; below it the logged digits are all that varies


@dataclass(frozen=True, slots=True)
class EntropyLaw:
    """The fitted law, its residuals by step, and where it fails.

    `a` has its 95 % interval; `ceiling` = b - a is the reward at zero entropy. `r_squared` is the share of the
    reward's variance that the law explains, `step_correlation` the residuals' correlation from step to step,
    `curvature_p` the p of a bend in e^H. `held_out_rmse` is that of the later half as foretold from the first,
    beside `held_out_spread`, the reward's standard deviation there. All are NaN where the law is undefined, and
    `left_out` counts logged steps without entropy or reward.
    """

    a: Estimate
    b: float
    r_squared: float
    step_correlation: float
    curvature_p: float
    held_out_rmse: float
    held_out_spread: float
    holds: bool | None
    reason: str
    predictions: tuple[Prediction, ...]
    left_out: int

    @property
    def ceiling(self) -> float:
        """Reward at zero entropy, b - a."""
        return self.b - self.a.value

    def row(self) -> Row:
        """The fit as one flat row of a table; the residuals by step are in `predictions`."""
        numbers = ("b", "ceiling", "r_squared", "step_correlation", "curvature_p", "held_out_rmse", "held_out_spread")
        return {
            "a": self.a.value,
            "a_low": self.a.low,
            "a_high": self.a.high,
            **{name: getattr(self, name) for name in numbers},
            "steps": len(self.predictions),
            "left_out": self.left_out,
            "holds": self.holds,
            "reason": self.reason,
        }


def entropy_law_of(history: Iterable[Mapping[str, float]]) -> EntropyLaw:
    """Fit the law to a trainer's log (`history.json` of an adapter): every entry that has a reward.

    Raises: MetricError as in `fit_entropy_law`.
    """
    entries = [entry for entry in history if "reward" in entry]
    step_T, entropy_T, reward_T = (
        [entry.get(key, math.nan) for entry in entries] for key in ("step", "entropy", "reward")
    )
    return fit_entropy_law(step_T, entropy_T, reward_T)


def fit_entropy_law(step_T: ArrayLike, entropy_T: ArrayLike, reward_T: ArrayLike) -> EntropyLaw:
    """Fit the law to the policy's mean token entropy (nats) and reward at logged steps, ascending.

    Steps with a NaN are left out and counted. Undefined, with the reason, for fewer than eight steps, or where the
    entropy does not vary.

    Raises: MetricError where the three are not of one length, or steps do not ascend.
    """
    step_T, entropy_T, reward_T = (np.asarray(values, dtype=np.float64) for values in (step_T, entropy_T, reward_T))
    if step_T.ndim != 1 or not step_T.shape == entropy_T.shape == reward_T.shape:
        raise MetricError(f"{step_T.shape} steps, {entropy_T.shape} entropies, {reward_T.shape} rewards: one each")
    if (np.diff(step_T) <= 0).any():
        raise MetricError("steps must ascend: hand over the log of one run, each step once")
    known_T = np.isfinite(entropy_T) & np.isfinite(reward_T)
    step_T, x_T, y_T = step_T[known_T], np.exp(entropy_T[known_T]), reward_T[known_T]
    left_out = int((~known_T).sum())
    if len(y_T) < FEWEST_STEPS:
        return _undefined(f"{len(y_T)} logged steps with entropy and reward; {FEWEST_STEPS} are needed", left_out)
    if np.ptp(x_T) <= LEAST_SPREAD * x_T.mean():
        return _undefined("the entropy does not vary over the run", left_out)
    return _fit(step_T, x_T, y_T, left_out)


def _fit(step_T: Floats, x_T: Floats, y_T: Floats, left_out: int) -> EntropyLaw:
    slope, b = _line(x_T, y_T)
    residual_T = y_T - (slope * x_T + b)
    correlation = 0.0 if _is_rounding(residual_T, y_T) else _step_correlation(residual_T)
    # A negative correlation would promise more steps than there are.
    steps = len(y_T) * (1 - max(correlation, 0.0)) / (1 + max(correlation, 0.0))
    a = _slope_interval(-slope, x_T, residual_T, steps)
    curvature = _curvature_p(x_T, y_T, steps)
    variance = float(np.sum((y_T - y_T.mean()) ** 2))
    r_squared = 1 - float(residual_T @ residual_T) / variance if variance > 0 else math.nan
    rmse, spread = _held_out(x_T, y_T)
    holds, reason = _verdict(a, r_squared, curvature)
    predictions = tuple(
        Prediction("reward by entropy", float(t), Estimate(y - e), float(y), Estimate(float(e)), holds, reason)
        for t, y, e in zip(step_T, y_T, residual_T, strict=True)
    )
    return EntropyLaw(a, b, r_squared, correlation, curvature, rmse, spread, holds, reason, predictions, left_out)


def _verdict(a: Estimate, r_squared: float, curvature: float) -> tuple[bool | None, str]:
    share = f"it explains {r_squared:.0%} of the reward's variance"
    if math.isnan(a.low):
        return None, "steps hang together so much that the slope has no interval"
    if a.high < 0:
        return False, f"reward rises with entropy (a = {a}); {share}"
    if a.low <= 0:
        return None, f"no relation of reward and entropy can be told from chance (a = {a}); {share}"
    if curvature < CURVED:
        return False, f"residuals bend with e^H (p = {curvature:.2g}): the relation is no line; {share}"
    return True, f"a = {a}, no bend (p = {curvature:.2g}); {share}"


def _is_rounding(residual_T: Floats, y_T: Floats) -> bool:
    """Whether the line is exact: neither the order nor the ratio of what is left says anything."""
    return float(residual_T @ residual_T) <= 1e-20 * max(1.0, float(y_T @ y_T))


def _line(x_T: Floats, y_T: Floats) -> tuple[float, float]:
    centred_T = x_T - x_T.mean()
    slope = float(centred_T @ y_T / (centred_T @ centred_T))
    return slope, float(y_T.mean() - slope * x_T.mean())


def _slope_interval(a: float, x_T: Floats, residual_T: Floats, steps: float) -> Estimate:
    from scipy.special import stdtrit

    freedom = steps - 2
    if freedom < 1:
        return Estimate(a, n=len(x_T))
    # Both the error of a residual and the spread of x shrink to effective steps.
    variance = float(residual_T @ residual_T) / len(x_T) * steps / freedom
    error = math.sqrt(variance / (steps * float(x_T.var())))
    width = float(stdtrit(freedom, 0.975)) * error
    return Estimate(a, a - width, a + width, len(x_T))


def _curvature_p(x_T: Floats, y_T: Floats, steps: float) -> float:
    """p of a quadratic term, by the F test on effective steps; NaN where there are too few."""
    from scipy.special import fdtrc

    z_T = (x_T - x_T.mean()) / x_T.std()
    design_T3 = np.stack([np.ones_like(z_T), z_T, z_T**2], axis=1)
    straight_T, bent_T = (
        y_T - design_T3[:, :columns] @ np.linalg.lstsq(design_T3[:, :columns], y_T, rcond=None)[0] for columns in (2, 3)
    )
    straight, bent = float(straight_T @ straight_T), float(bent_T @ bent_T)
    freedom = steps - 3
    if freedom < 1:
        return math.nan
    if _is_rounding(straight_T, y_T):
        return 1.0
    return float(fdtrc(1, freedom, freedom * max(straight - bent, 0.0) / bent)) if bent > 0 else 0.0


def _held_out(x_T: Floats, y_T: Floats) -> tuple[float, float]:
    """Root mean square error on the later half of the line through the first, and the reward's spread there."""
    half = len(x_T) // 2
    if np.ptp(x_T[:half]) <= LEAST_SPREAD * x_T[:half].mean():
        return math.nan, float(y_T[half:].std())
    slope, b = _line(x_T[:half], y_T[:half])
    return float(np.sqrt(np.mean((y_T[half:] - slope * x_T[half:] - b) ** 2))), float(y_T[half:].std())


def _step_correlation(residual_T: Floats) -> float:
    total = float(residual_T @ residual_T)
    return float(residual_T[1:] @ residual_T[:-1]) / total if total > 0 else 0.0


def _undefined(reason: str, left_out: int) -> EntropyLaw:
    nan = math.nan
    return EntropyLaw(Estimate(nan), nan, nan, nan, nan, nan, nan, None, reason, (), left_out)
