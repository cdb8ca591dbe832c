"""Where ranking arms by what users pick differs from ranking them by pass@k, and whether that is more than noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from polymlops.report.arm_differences import ArmDifference


@dataclass(frozen=True, slots=True)
class Ranking:
    """Arms from best to worst by one metric; `values` in that order."""

    metric: str
    arms: tuple[str, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class RankChange:
    """A pair that pass@k and USQ@k put in opposite orders; differences are `arm` minus `other`.

    `significant` is true only where both metrics tell the pair apart, by interval and Holm-corrected p.
    """

    selector: str
    k: int
    arm: str
    other: str
    pass_difference: float
    usq_difference: float
    significant: bool
    sentence: str


def ranking(metric: str, means: Mapping[str, float]) -> Ranking:
    """Order arms by a metric of which more is better; arms where it is undefined are left out."""
    known = {arm: value for arm, value in means.items() if not math.isnan(value)}
    order = sorted(known, key=lambda arm: -known[arm])
    return Ranking(metric, tuple(order), tuple(known[arm] for arm in order))


def rank_changes(differences: Sequence[ArmDifference], selectors: Sequence[str], k: int) -> tuple[RankChange, ...]:
    """Every pair and selector for which the signs of the differences in pass@k and USQ@k disagree."""
    found = {(item.arm, item.reference, item.metric): item for item in differences}
    pairs = dict.fromkeys((item.arm, item.reference) for item in differences)
    changes = []
    for selector in selectors:
        for arm, other in pairs:
            passes = found.get((arm, other, f"pass_at_{k}"))
            picks = found.get((arm, other, f"usq_{selector}_at_{k}"))
            if passes is not None and picks is not None and passes.difference * picks.difference < 0:
                changes.append(_change(selector, k, passes, picks))
    return tuple(changes)


def kendall_tau(first: Ranking, second: Ranking) -> float:
    """Agreement of two rankings over the arms that both have, 1 equal and -1 reversed; NaN with fewer than two arms."""
    ours = dict(zip(first.arms, first.values, strict=True))
    theirs = dict(zip(second.arms, second.values, strict=True))
    pairs = list(combinations([arm for arm in first.arms if arm in theirs], 2))
    signs = [
        math.copysign(1, x) if x else 0.0 for x in ((ours[a] - ours[b]) * (theirs[a] - theirs[b]) for a, b in pairs)
    ]
    return sum(signs) / len(signs) if signs else math.nan


def _change(selector: str, k: int, passes: ArmDifference, picks: ArmDifference) -> RankChange:
    significant = passes.claim and picks.claim
    first, second = (passes.arm, passes.reference) if passes.difference > 0 else (passes.reference, passes.arm)
    numbers = (
        f"pass@{k} {passes.difference:+.3f}, USQ@{k} {picks.difference:+.3f}, {passes.arm} minus {passes.reference}"
    )
    order = f"pass@{k} puts {first} above {second}, USQ@{k} by {selector} the other way round ({numbers})"
    return RankChange(
        selector,
        k,
        passes.arm,
        passes.reference,
        passes.difference,
        picks.difference,
        significant,
        f"{order}: {_weight(passes, picks)}.",
    )


def _weight(passes: ArmDifference, picks: ArmDifference) -> str:
    if passes.claim and picks.claim:
        return "both differences are distinguishable from 0"
    if passes.claim or picks.claim:
        return f"only that in {passes.metric if passes.claim else picks.metric} is distinguishable from 0"
    return "neither difference is distinguishable from 0, so this may be chance"
