"""What the set objectives accept: the checks that turn a group's inputs into arrays, or say what to pass instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats, candidate_counts, finite
from polymlops.training.set_diversity import Clusters, Distances, Diversity
from polymlops.training.set_functions import Bools


@dataclass(frozen=True, slots=True)
class Groups:
    """Checked rewards, and the other inputs as they were given: an objective checks those that it reads."""

    rewards_GK: Floats
    diversity: ArrayLike | None
    selector: ArrayLike | None
    valid: ArrayLike | None

    def selector_GK(self) -> Floats:
        """The selector's scores; infinite ones still rank."""
        if self.selector is None:
            raise MetricError("selected needs a selector: pass selector_GK, one score for each sample")
        selector_GK = same_shape(np.asarray(self.selector, dtype=np.float64), self.rewards_GK, "selector_GK")
        if np.isnan(selector_GK).any():
            raise MetricError("selector_GK holds NaN: score every sample, or give the unscored ones -inf")
        return selector_GK

    def valid_GK(self) -> Bools:
        """Which members are valid; all, where nothing was said."""
        if self.valid is None:
            return np.ones(self.rewards_GK.shape, dtype=np.bool_)
        valid_GK = same_shape(np.asarray(self.valid), self.rewards_GK, "valid_GK")
        if valid_GK.dtype != np.bool_:
            raise MetricError(f"valid_GK must hold booleans, not {valid_GK.dtype}")
        return valid_GK

    def set_diversity(self, objective: str) -> Diversity:
        """Distances or clusters of the valid members, by the number of axes that were given."""
        given = None if self.diversity is None else np.asarray(self.diversity)
        if given is not None and given.ndim == 3:
            return _distances(given, self.valid_GK())
        return self.clusters(objective, "distances (G, K, K) or cluster labels (G, K)", self.valid_GK())

    def clusters(self, objective: str, wanted: str, counted_GK: Bools) -> Clusters:
        """Clusters of the members that count, from labels; `wanted` is what the message asks for without them."""
        if self.diversity is None or np.ndim(self.diversity) != 2:
            given = "nothing" if self.diversity is None else f"shape {np.shape(self.diversity)}"
            raise MetricError(f"{objective} needs diversity: pass {wanted}, not {given}")
        labels_GK = same_shape(np.asarray(self.diversity), self.rewards_GK, "diversity")
        if labels_GK.dtype.kind not in "iubUS":
            raise MetricError(f"cluster labels must be integers or strings, not {labels_GK.dtype}")
        pairs_GKK = counted_GK[:, :, None] & counted_GK[:, None, :]
        return Clusters((labels_GK[:, :, None] == labels_GK[:, None, :]) & pairs_GKK, counted_GK)


def _distances(given_GKK: NDArray[Any], valid_GK: Bools) -> Distances:
    samples = valid_GK.shape[1]
    if given_GKK.shape != (*valid_GK.shape, samples):
        raise MetricError(f"diversity has shape {given_GKK.shape}, not {(*valid_GK.shape, samples)} as the rewards say")
    read_GKK = valid_GK[:, :, None] & valid_GK[:, None, :] & ~np.eye(samples, dtype=np.bool_)
    distances_GKK = finite(np.where(read_GKK, given_GKK, 0.0), "diversity")
    if ((distances_GKK < 0) | (distances_GKK > 1)).any():
        raise MetricError(f"distances must lie in [0, 1], not {distances_GKK.min():g} .. {distances_GKK.max():g}")
    return Distances((distances_GKK + distances_GKK.transpose(0, 2, 1)) / 2, valid_GK)


def checked_rewards(rewards_GK: ArrayLike, k: int) -> Floats:
    """Rewards as finite float64 (G, K) with at least k samples a group."""
    array_GK = finite(rewards_GK, "rewards_GK")
    if array_GK.ndim != 2:
        raise MetricError(f"rewards_GK has shape {array_GK.shape}: it must be (groups, samples)")
    samples = array_GK.shape[1]
    if candidate_counts(k)[0] > samples:
        raise MetricError(f"sets of k = {k} need as many samples a group, not {samples}: lower k or sample more")
    return array_GK


def same_shape(array: NDArray[Any], rewards_GK: Floats, name: str) -> NDArray[Any]:
    """The array itself; MetricError where its shape is not that of the rewards."""
    if array.shape != rewards_GK.shape:
        raise MetricError(f"{name} has shape {array.shape}: it must have that of the rewards, {rewards_GK.shape}")
    return array


def require_binary(rewards_GK: Floats, what: str) -> None:
    """Raise MetricError unless every reward is 0 or 1."""
    if not np.isin(rewards_GK, (0.0, 1.0)).all():
        raise MetricError(f"{what} needs rewards of 0 and 1: pass rewards_GK >= threshold")


def require_known(value: str, known: tuple[str, ...], name: str) -> None:
    """Raise MetricError unless the value is one of the known ones."""
    if value not in known:
        raise MetricError(f"{name} must be one of {', '.join(known)}, not {value!r}")


def require_positive(rewards_GK: Floats, what: str) -> None:
    """Raise MetricError where a reward is below 0: a product with diversity would then punish diversity."""
    if (rewards_GK < 0).any():
        raise MetricError(f"{what} multiplies reward and diversity: shift rewards to 0 or more first")
