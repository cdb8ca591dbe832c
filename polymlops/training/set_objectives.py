"""Advantages that train a policy on the value of the whole set of candidates that a person is shown.

    J_f = E[f(S)],   S = k i.i.d. samples of the policy for one prompt

From K >= k samples of a prompt, with S running over the k-subsets of them, the advantage of sample i is

    mean      A_i = mean_{S with i} f(S) - mean_S f(S)
    loo       A_i = mean_{S with i} f(S) - mean_{S without i} f(S)
    marginal  A_i = mean_{S with i} [f(S) - f(S minus i)]

and E[(1/K) sum_i A_i grad log pi(y_i)] is grad J_f times (1-k/K)/k for `mean`, times 1/k for `loo` and `marginal`, for
any f: no baseline depends on y_i. `mean` is (1-k/K) `loo`, and both sum to zero over the group, so a trainer that
centres rewards within the group leaves them as they are; one that divides by their spread does not. f of the empty
set is 0, so `marginal` at k = 1 is f of the sample alone, without a baseline.

Every objective has a closed form (`set_functions`, `set_diversity`), so subsets are neither enumerated nor sampled:
results are exact and take no random numbers at any k and K.

Source: ESTIMATORS of the project, section 3; see each objective's function for its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, assert_never, get_args

import numpy as np
from numpy.typing import ArrayLike

from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats, finite
from polymlops.training.set_diversity import polychromic_with_member
from polymlops.training.set_functions import log_choose, mean_with_member, selected_with_member
from polymlops.training.set_inputs import (
    Groups,
    checked_rewards,
    require_binary,
    require_known,
    require_positive,
    same_shape,
)

SetObjective = Literal["mean", "max", "polychromic", "selected", "diversity", "coverage"]
Baseline = Literal["mean", "loo", "marginal"]

# Advantages of order 1 that are equal in theory differ by this much at most after rounding.
ROUNDING = 1e-12


def advantages(
    rewards_GK: ArrayLike,
    objective: SetObjective,
    k: int,
    baseline: Baseline,
    diversity: ArrayLike | None = None,
    selector_GK: ArrayLike | None = None,
    *,
    valid_GK: ArrayLike | None = None,
) -> Floats:
    """Advantage of each of the K samples of G groups for sets of size k; float64 (G, K).

    Objectives, as f(S): `mean` reward (at k = 1 that of GRPO), `max` reward, `polychromic` mean reward x diversity,
    `selected` the reward of the member that `selector_GK` ranks first (ties at random; trains USQ@k), `diversity`
    alone, `coverage` the number of distinct clusters among members of reward 1.

    `diversity` is what `polychromic`, `diversity` and `coverage` read: distances (G, K, K) in [0, 1], of which the mean
    over pairs counts, or cluster labels (G, K), integers or strings, of which the distinct share counts (`coverage`
    takes labels only). Members that are false in `valid_GK` (junk, truncated; default none) count neither in diversity
    nor as passing, though their reward does; below two valid members diversity is 0, hence everywhere at k = 1. The
    `mean` baseline is 0 throughout at k = K, as its constant is.

    Raises: MetricError for NaN, shapes that differ, k outside 1..K, `loo` at k = K, an objective without its input,
    negative rewards in `polychromic`, rewards other than 0 and 1 in `coverage`.
    Source: Walder & Karkhanis 2025, arXiv:2505.15201 (max@k); Hamid et al. 2025, arXiv:2509.25424 (polychromic);
    `selected` is ours.
    """
    require_known(objective, get_args(SetObjective), "objective")
    require_known(baseline, get_args(Baseline), "baseline")
    rewards_checked_GK = checked_rewards(rewards_GK, k)
    samples = rewards_checked_GK.shape[1]
    if baseline == "loo" and k == samples:
        raise MetricError(f"loo needs sets without the sample, and none of {k} is: use k < {samples}, or marginal")
    with_member = _with_member(Groups(rewards_checked_GK, diversity, selector_GK, valid_GK), objective)
    with_GK = with_member(k)
    if baseline == "marginal":
        return with_GK - (_without_member(with_member(k - 1), k - 1) if k > 1 else 0.0)
    centred_GK = _centred(with_GK)
    return centred_GK / (1 - k / samples) if baseline == "loo" else centred_GK


def pass_at_k_scaling(rewards_GK: ArrayLike, k: int) -> Floats:
    """Advantages of Pass@k training: `max` with the `mean` baseline over sqrt(R (1 - R)), R = pass@k of the group.

    Rewards are 0 and 1, (G, K). With N_neg of them 0 this is the published (1 - R) / sigma for positive samples and
    (1 - R - C(N_neg-1, k-1)/C(K-1, k-1)) / sigma for negative ones. Groups with R of 0 or 1 have advantage 0.

    Raises: MetricError as in `advantages`, and for rewards other than 0 and 1.
    Source: Chen et al. 2025, arXiv:2508.10751, analytical derivation. The scaling makes the gradient that of no J_f.
    """
    rewards_checked_GK = checked_rewards(rewards_GK, k)
    require_binary(rewards_checked_GK, "Pass@k scaling")
    samples = rewards_checked_GK.shape[1]
    negatives_G1 = (rewards_checked_GK == 0).sum(axis=1, keepdims=True)
    fails_G1 = np.exp(log_choose(negatives_G1, k) - log_choose(samples, k))
    still_fails_G1 = np.exp(log_choose(negatives_G1 - 1, k - 1) - log_choose(samples - 1, k - 1))
    sigma_G1 = np.sqrt(fails_G1 * (1 - fails_G1))
    centred_GK = fails_G1 - np.where(rewards_checked_GK == 1, 0.0, still_fails_G1)
    return np.divide(centred_GK, sigma_G1, out=np.zeros_like(centred_GK), where=sigma_G1 > 0)


@dataclass(frozen=True, slots=True)
class AdvantageReport:
    """What to log of a batch of advantages; shares are in [0, 1], NaN without groups.

    `zero_spread_share`: groups whose samples all have the same advantage, so that they teach nothing once centred.
    `sign_disagreement_share`: samples that are pushed against their own reward, sign(A) = -sign(r - group mean):
    how far the set objective departs from plain GRPO.
    """

    groups: int
    zero_spread_share: float
    sign_disagreement_share: float


def advantage_report(advantages_GK: ArrayLike, rewards_GK: ArrayLike) -> AdvantageReport:
    """Summarise the advantages of G groups beside the rewards that they came from, both (G, K).

    Raises: MetricError for NaN, or shapes that differ.
    """
    rewards_checked_GK = checked_rewards(rewards_GK, 1)
    values_GK = same_shape(finite(advantages_GK, "advantages_GK"), rewards_checked_GK, "advantages_GK")
    if len(values_GK) == 0:
        return AdvantageReport(0, float("nan"), float("nan"))
    flat_G = np.ptp(values_GK, axis=1) <= ROUNDING
    signs_GK = _signs(values_GK) * _signs(_centred(rewards_checked_GK))
    return AdvantageReport(len(values_GK), float(flat_G.mean()), float((signs_GK < 0).mean()))


def _with_member(groups: Groups, objective: SetObjective) -> Callable[[int], Floats]:
    """Mean of f(S) over the k-subsets S that contain i, (G, K), as a function of k; the one place that dispatches."""
    rewards_GK = groups.rewards_GK
    match objective:
        case "mean":
            return partial(mean_with_member, rewards_GK)
        case "max":
            return partial(selected_with_member, rewards_GK, rewards_GK)
        case "selected":
            return partial(selected_with_member, rewards_GK, groups.selector_GK())
        case "diversity":
            return groups.set_diversity(objective).with_member
        case "polychromic":
            require_positive(rewards_GK, objective)
            return partial(polychromic_with_member, rewards_GK, groups.set_diversity(objective))
        case "coverage":
            require_binary(rewards_GK, objective)
            passing_GK = (rewards_GK == 1) & groups.valid_GK()
            return groups.clusters(objective, "cluster labels (G, K)", passing_GK).coverage_with_member
        case _:
            assert_never(objective)


def _without_member(with_GK: Floats, k: int) -> Floats:
    """Mean of f over the k-subsets without i, k < K: what those with i leave of the mean over all."""
    share = k / with_GK.shape[1]
    return (with_GK.mean(axis=1, keepdims=True) - share * with_GK) / (1 - share)


def _centred(values_GK: Floats) -> Floats:
    """Subtract the group mean; exactly 0 where all are equal, which the mean of equal floats alone does not give."""
    offsets_GK = values_GK - values_GK[:, :1]
    return offsets_GK - offsets_GK.mean(axis=1, keepdims=True)


def _signs(values_GK: Floats) -> Floats:
    return np.where(np.abs(values_GK) > ROUNDING, np.sign(values_GK), 0.0)
