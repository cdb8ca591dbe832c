"""The completions of one GRPO step as groups: checked rewards, set advantages, and what is logged of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from polymlops.config.grpo import GRPOConfig
from polymlops.data.cleaning import comparable
from polymlops.errors import TrainingError
from polymlops.generation.decoding import Candidate
from polymlops.metrics.arrays import Floats, Ints
from polymlops.training.polychromic import is_junk, set_advantages
from polymlops.training.set_functions import Bools
from polymlops.training.set_objectives import advantage_report, advantages


def checked(rewards: Any, replies: Sequence[str]) -> Floats:
    """Rewards as float64. Raises: TrainingError for a wrong count or a value that is not finite."""
    try:
        values = np.asarray(rewards, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TrainingError(f"the reward returned what is not numbers, {str(rewards)[:60]}: {error}") from error
    if values.shape != (len(replies),):
        raise TrainingError(f"the reward returned shape {values.shape} for {len(replies)} replies: return one for each")
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise TrainingError(f"{len(bad)} of {len(values)} rewards are not finite, the first for {replies[bad[0]]!r}")
    return values


def check_signal(values: Floats, config: GRPOConfig) -> None:
    """Judge the rewards of the first step.

    Raises: TrainingError where all replies have one value, or, in `polychromic`, none is above the floor: there would
    be nothing to learn from.
    """
    if np.ptp(values) == 0:
        raise TrainingError(f"the reward is {values[0]:g} for every reply of the first step: nothing to learn from it")
    if config.objective == "polychromic" and values.max() <= config.reward_floor:
        raise TrainingError(
            f"no reward of the first step is above reward_floor = {config.reward_floor:g}, the highest is "
            f"{values.max():g}: lower the floor, or there is nothing to multiply diversity with"
        )


@dataclass(frozen=True, slots=True)
class SampledGroups:
    """The completions of one step, G prompts with K each."""

    rewards_GK: Floats
    candidates: tuple[Candidate, ...]
    texts: tuple[str, ...]
    distances_GKK: Floats

    @property
    def valid_GK(self) -> Bools:
        """Neither truncated nor junk."""
        rows = [item.finished and not is_junk(text) for item, text in zip(self.candidates, self.texts, strict=True)]
        return np.array(rows).reshape(self.rewards_GK.shape)

    def clusters_GK(self, distance: float) -> Ints:
        """Cluster of each completion within its group, any two of a cluster at most `distance` apart.

        At 0, the completions of a cluster have the same text but for case and white space.
        """
        if distance > 0:
            return np.stack([_complete_linkage(distances_KK, distance) for distances_KK in self.distances_GKK])
        texts_GK = np.array([comparable(text) for text in self.texts]).reshape(self.rewards_GK.shape)
        return np.stack([np.unique(row, return_inverse=True)[1] for row in texts_GK])

    def advantages(self, config: GRPOConfig) -> Floats:
        """Advantage of each completion under the configured objective, (G, K)."""
        rewards_GK: Floats = self.rewards_GK
        diversity: Floats | Ints = self.distances_GKK
        if config.objective == "polychromic":
            rewards_GK = np.maximum(rewards_GK - config.reward_floor, 0)
        if config.objective == "coverage":
            rewards_GK = (rewards_GK > config.pass_threshold).astype(np.float64)
            diversity = self.clusters_GK(config.coverage_distance)
        selector_GK = self._selector_GK(config)
        return advantages(
            rewards_GK, config.objective, config.k, config.baseline, diversity, selector_GK, valid_GK=self.valid_GK
        )

    def _selector_GK(self, config: GRPOConfig) -> Floats:
        match config.selector:
            case "reward":
                return self.rewards_GK
            case "length":
                scores = [float(len(text)) for text in self.texts]
            case "logprob":
                scores = [item.logprob / len(item.tokens) for item in self.candidates]
        return np.array(scores).reshape(self.rewards_GK.shape)

    def metrics(self, advantages_GK: Floats, config: GRPOConfig) -> dict[str, float]:
        """What is logged of a step beside TRL's own; diversity of fewer than two valid members is 0."""
        report = advantage_report(advantages_GK, self.rewards_GK)
        sets = [set_advantages(*pair) for pair in zip(self.distances_GKK, self.valid_GK, strict=True)]
        texts_GK = np.array(self.texts, dtype=object).reshape(self.rewards_GK.shape)
        return {
            "reward_within_spread": float(self.rewards_GK.std(axis=1).mean()),
            "reward_zero_spread_share": float((np.ptp(self.rewards_GK, axis=1) == 0).mean()),
            "advantage_zero_spread_share": report.zero_spread_share,
            "sign_disagreement_share": report.sign_disagreement_share,
            "diversity": float(np.nan_to_num([item.diversity for item in sets]).mean()),
            "duplicate_share": float(np.mean([1 - len(set(row)) / len(row) for row in texts_GK])),
            "truncated_share": float(np.mean([not item.finished for item in self.candidates])),
            "valid_share": float(self.valid_GK.mean()),
            **self._of_objective(config),
        }

    def _of_objective(self, config: GRPOConfig) -> dict[str, float]:
        """What only one objective has: rewards that its floor cuts off; passing replies and their clusters a group."""
        if config.objective == "polychromic":
            return {"below_floor_share": float((self.rewards_GK < config.reward_floor).mean())}
        if config.objective != "coverage":
            return {}
        passing_GK = self.valid_GK & (self.rewards_GK > config.pass_threshold)
        clusters_GK = self.clusters_GK(config.coverage_distance)
        found = [len(set(row[passes])) for row, passes in zip(clusters_GK, passing_GK, strict=True)]
        return {"passing_share": float(passing_GK.mean()), "passing_clusters": float(np.mean(found))}


def joined_groups(parts: Sequence[SampledGroups]) -> SampledGroups:
    """The groups of all parts, in order."""
    return SampledGroups(
        np.concatenate([part.rewards_GK for part in parts]),
        tuple(candidate for part in parts for candidate in part.candidates),
        tuple(text for part in parts for text in part.texts),
        np.concatenate([part.distances_GKK for part in parts]),
    )


def _complete_linkage(distances_KK: Floats, distance: float) -> Ints:
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    symmetric_KK = (distances_KK + distances_KK.T) / 2
    np.fill_diagonal(symmetric_KK, 0)
    merges = linkage(squareform(symmetric_KK, checks=False), method="complete")
    return fcluster(merges, distance, criterion="distance").astype(np.int64)
