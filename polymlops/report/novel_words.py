"""What the novel metrics say to a person: how many candidates to show, and what the statistics cannot carry."""

from __future__ import annotations

import math
from collections.abc import Sequence

from polymlops.evaluation.candidate_scores import ArmValues
from polymlops.report.arm_differences import ArmDifference
from polymlops.report.score_collapse import ArmCollapse, interval_words

LEVEL = 0.05
FEWEST_SEEDS = 4
ORDINALS = {1: "st", 2: "nd", 3: "rd"}


def advice(collapse: ArmCollapse | None) -> str:
    """How many candidates to show, from a collapse point: "show 8 candidates: the 9th adds less than 0.01"."""
    if collapse is None:
        return "no advice: nobody judged passes"
    point = collapse.point
    if point.k is None:
        if collapse.n < 2:
            return "no advice: with one candidate a prompt nothing is known about a second"
        return f"show all {collapse.n}: the {ordinal(collapse.n)} still adds {point.threshold:g} or more; sample more"
    shown = "1 candidate" if point.k == 1 else f"{point.k} candidates"
    words = interval_words(collapse)
    interval = f" (95 % interval of that number: {words})" if words else ""
    return f"show {shown}: the {ordinal(point.k + 1)} adds less than {point.threshold:g}{interval}"


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th."""
    ending = "th" if number % 100 in (11, 12, 13) else ORDINALS.get(number % 10, "th")
    return f"{number}{ending}"


def statistics_notes(arms: Sequence[ArmValues], differences: Sequence[ArmDifference], resamples: int) -> list[str]:
    """What the comparison cannot show: one arm, too few flips for the family, too few seeds for the middle half."""
    if len(arms) < 2:
        return ["one arm: there is nothing to compare it with"]
    notes = []
    family = max((item.family for item in differences), default=0)
    if family / (resamples + 1) > LEVEL:
        need = math.ceil(family / LEVEL)
        notes.append(f"{family} tests and {resamples} sign flips: no corrected p can be below {LEVEL}; draw {need}")
    if any(len(arm.seeds) < FEWEST_SEEDS for arm in arms):
        notes.append(f"fewer than {FEWEST_SEEDS} seeds: their interquartile mean is their mean")
    return notes + _saturated(differences)


def _saturated(differences: Sequence[ArmDifference]) -> list[str]:
    """Which pairs a metric cannot tell apart, because both are at its top; the other pairs it may."""
    pairs: dict[str, list[str]] = {}
    for item in differences:
        if item.saturated:
            pairs.setdefault(item.metric, []).append(f"{item.arm} and {item.reference}")
    return [
        f"{metric} is saturated in {'; '.join(found)}: it cannot tell these apart" for metric, found in pairs.items()
    ]
