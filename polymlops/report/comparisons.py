"""Differences between arms on the same prompts, and what may be concluded from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polymlops.config.schema import STARTS
from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats
from polymlops.metrics.statistics import (
    cohens_d,
    holm,
    minimum_detectable_effect,
    sign_flip_test,
    two_level_paired_bootstrap,
)
from polymlops.records import Estimate
from polymlops.report.estimates import PooledArm

PROMPTED = ("zero_shot", "few_shot")
# Above this in both arms a metric has no room left to show a difference.
SATURATED = 0.98
# Two ways to compute one value differ by less; that is no finding.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Comparison:
    """`arm` minus `reference` on one metric, over prompts and paired training seeds.

    `distinguishable` is true only where the interval excludes 0. `p` (sign flips of the per-prompt differences) and
    `cohens_d` are over prompts, seeds averaged; `p_holm` is adjusted for all metrics of the pair. With one seed,
    `covers_training_runs` is false: the interval says nothing about another training run.
    """

    arm: str
    reference: str
    metric: str
    difference: Estimate
    distinguishable: bool
    p: float
    p_holm: float
    cohens_d: float
    minimum_detectable_effect: float
    saturated: bool
    seeds: int
    covers_training_runs: bool


def comparison_pairs(arms: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs (arm, reference): GRPO's arms against their start and each other, other trained arms against the baseline,
    the baseline against the few-shot prompt.
    """
    sft = [(arm, "baseline") for arm in arms if arm not in (*PROMPTED, *STARTS, "baseline")]
    grpo = [(str(arm), str(start)) for arm, start in STARTS.items()]
    wanted = [*sft, *grpo, ("polychromic_grpo", "baseline_grpo"), ("baseline", "few_shot")]
    return [pair for pair in wanted if set(pair) <= set(arms)]


def compare(arm: PooledArm, reference: PooledArm, rng: np.random.Generator, resamples: int) -> list[Comparison]:
    """Compare two arms on every metric of `arm`, in order.

    Raises: MetricError where the arms were trained with different seeds; an arm with one seed stands beside every seed.
    """
    seeds = _paired_seeds(arm, reference)
    found = []
    for metric, ours_SP in arm.values_SP.items():
        a_SP, b_SP = _defined_in_both(ours_SP, reference.values_SP[metric], seeds)
        found.append(_compare_metric((arm.arm, reference.arm, metric), a_SP, b_SP, rng, resamples))
    tested = [i for i, item in enumerate(found) if not np.isnan(item["p"])]
    adjusted = dict(zip(tested, holm([found[i]["p"] for i in tested]).tolist(), strict=True))
    return [Comparison(**item, p_holm=adjusted.get(i, float("nan"))) for i, item in enumerate(found)]


def _compare_metric(
    names: tuple[str, str, str], a_SP: Floats, b_SP: Floats, rng: np.random.Generator, resamples: int
) -> dict:
    seeds, prompts = a_SP.shape
    difference = two_level_paired_bootstrap(a_SP, b_SP, rng, resamples)
    a_P, b_P = (a_SP.mean(axis=0), b_SP.mean(axis=0)) if prompts else (np.empty(0), np.empty(0))
    spread = float(np.std(a_P - b_P, ddof=1)) if prompts > 1 else float("nan")
    share = names[2].startswith("pass_at_")
    return {
        "arm": names[0],
        "reference": names[1],
        "metric": names[2],
        "difference": difference,
        "distinguishable": difference.excludes_zero and abs(difference.value) > ROUNDING,
        "p": sign_flip_test(a_P, b_P, rng, resamples).p,
        "cohens_d": cohens_d(a_P, b_P),
        "minimum_detectable_effect": minimum_detectable_effect(spread, prompts) if prompts > 1 else float("nan"),
        "saturated": bool(share and prompts and min(a_P.mean(), b_P.mean()) > SATURATED),
        "seeds": seeds,
        "covers_training_runs": seeds > 1,
    }


def _paired_seeds(arm: PooledArm, reference: PooledArm) -> int:
    if arm.seeds != reference.seeds and 1 not in (len(arm.seeds), len(reference.seeds)):
        raise MetricError(
            f"{arm.arm} has the seeds {arm.seeds}, {reference.arm} has {reference.seeds}: train both alike"
        )
    return max(len(arm.seeds), len(reference.seeds))


def _defined_in_both(a_SP: Floats, b_SP: Floats, seeds: int) -> tuple[Floats, Floats]:
    defined_P = ~(np.isnan(a_SP).any(axis=0) | np.isnan(b_SP).any(axis=0))
    shape = (seeds, int(defined_P.sum()))
    return np.broadcast_to(a_SP[:, defined_P], shape), np.broadcast_to(b_SP[:, defined_P], shape)
