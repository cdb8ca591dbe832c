"""The guard of a learned reward: what no human reply looks like is worth nothing, whatever the model would say of it.

A regression knows replies by people only; elsewhere it falls back to the mean, and a policy that is paid for it goes
elsewhere. The guard measures how far a reply lies outside what people write, on the `GUARDS` of `reward_features`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from polymlops.training.reward_features import GUARDS

if TYPE_CHECKING:
    from polymlops.metrics.arrays import Floats

LEAST_SPREAD = {"improbable": 0.05, "worst_token": 0.3, "long": 2.0, "short": 1.0, "repeated": 0.05, "echoed": 0.05}


@dataclass(frozen=True, slots=True)
class Guard:
    """Limits (G,) and spreads (G,) of the `GUARDS` on human replies, and the score that junk falls to."""

    limits_G: Floats
    spreads_G: Floats
    floor: float

    def apply(self, predictions_MK: Floats, guards_KG: Floats) -> Floats:
        """Draw predictions to the floor: e-fold for each spread that a reply lies beyond a limit, all guards summed.

        A reply without a word is at the floor.
        """
        beyond_K = np.maximum(0.0, (guards_KG - self.limits_G) / self.spreads_G).sum(axis=1)
        kept_K = np.where(guards_KG[:, GUARDS.index("long")] > 0, np.exp(-beyond_K), 0.0)
        return self.floor + (predictions_MK - self.floor) * kept_K


def fit_guard(guards_NG: Floats, predictions_N: Floats) -> Guard:
    """Limits lie a spread beyond the extremes of human replies; the floor, a standard deviation below the worst."""
    spreads_G = np.maximum(guards_NG.std(axis=0), [LEAST_SPREAD[name] for name in GUARDS])
    floor = float(predictions_N.min() - (predictions_N.std() or 1.0))
    return Guard(guards_NG.max(axis=0) + spreads_G, spreads_G, floor)
