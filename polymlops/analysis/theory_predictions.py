"""A prediction of theory beside its measurement: the one record that every theory ends in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from polymlops.records import Estimate

Theory = Literal["pass@k, beta-binomial", "USQ gain, normal", "reward by entropy", "best-of-n KL", "DER bounds"]
# Residuals of quantities around 1 that are no more than summation error.
ROUNDING = 1e-9
Row = dict[str, float | int | str | bool | None]


@dataclass(frozen=True, slots=True)
class Prediction:
    """One number that a theory predicts, and what was measured in its place.

    `at` is the k, n or step. `predicted` has a value, or a range (`low`, `high`), or both. `residual` = measured -
    predicted with its interval over prompts where there is one; for a range, by how much it was left. `holds` is False
    where the residual cannot be chance, None where nothing can be said; `reason` says why in words.
    """

    theory: Theory
    at: float
    predicted: Estimate
    measured: float
    residual: Estimate
    holds: bool | None
    reason: str

    def row(self) -> Row:
        """One flat row of a table."""
        return {
            "theory": self.theory,
            "at": self.at,
            "predicted": self.predicted.value,
            "predicted_low": self.predicted.low,
            "predicted_high": self.predicted.high,
            "measured": self.measured,
            "residual": self.residual.value,
            "residual_low": self.residual.low,
            "residual_high": self.residual.high,
            "holds": self.holds,
            "reason": self.reason,
        }


def judged(theory: Theory, at: float, predicted: float, residual: Estimate, when_it_fails: str) -> Prediction:
    """A point prediction judged by whether the interval of its residual holds 0."""
    measured = predicted + residual.value
    if math.isnan(residual.value):
        return Prediction(theory, at, Estimate(predicted), measured, residual, None, "undefined here")
    if abs(residual.value) <= ROUNDING:
        return Prediction(theory, at, Estimate(predicted), measured, residual, True, "exact")
    if math.isnan(residual.low):
        return Prediction(theory, at, Estimate(predicted), measured, residual, None, "no interval: too few prompts")
    holds = not residual.excludes_zero
    reason = f"residual {residual} holds 0" if holds else f"residual {residual} is no chance: {when_it_fails}"
    return Prediction(theory, at, Estimate(predicted), measured, residual, holds, reason)


def undefined(theory: Theory, at: float, reason: str) -> Prediction:
    """A prediction that cannot be made, with the reason."""
    nothing = Estimate(math.nan)
    return Prediction(theory, at, nothing, math.nan, nothing, None, reason)
