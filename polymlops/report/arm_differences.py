"""Paired differences between arms on the same prompts, with the one sentence about each that may be quoted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from polymlops.errors import InputError
from polymlops.evaluation.candidate_scores import ArmValues
from polymlops.metrics.arrays import Floats
from polymlops.metrics.statistics import cliffs_delta, holm
from polymlops.report.comparisons import Comparison, compare
from polymlops.report.estimates import PooledArm
from polymlops.report.score_metrics import direction

LEVEL = 0.05
NAMED = 5


@dataclass(frozen=True, slots=True)
class ArmDifference:
    """`arm` minus `reference` on one metric; `difference` with its 95 % interval over `n` prompts and `seeds`.

    `p_holm` is adjusted for the `family` of all tests made together. `claim` is true only where the interval excludes 0
    and `p_holm` is at most 0.05; `sentence` says what may be said. With one seed nothing is said about training runs.
    """

    arm: str
    reference: str
    metric: str
    better: str
    difference: float
    low: float
    high: float
    n: int
    seeds: int
    p: float
    p_holm: float
    family: int
    cohens_d: float
    cliffs_delta: float
    minimum_detectable_effect: float
    saturated: bool
    claim: bool
    sentence: str


def check_same_prompts(arms: Sequence[ArmValues]) -> None:
    """Raise InputError, one line a fault, unless all arms and seeds answer the same prompts with as many candidates."""
    reference = arms[0]
    faults = [fault for arm in arms for fault in _seed_faults(arm)]
    for arm in arms[1:]:
        pair = f"arms {arm.arm} and {reference.arm} cannot be compared"
        for ours, theirs in ((arm, reference), (reference, arm)):
            only = sorted(set(ours.prompts) - set(theirs.prompts))
            if only:
                faults.append(
                    f"{pair}: {counted(len(only), 'prompt')} only in {ours.arm}: {_listed(only)}; give both the same"
                )
        faults += _size_faults(arm, reference, pair)
    if faults:
        raise InputError("\n".join(faults))


def _seed_faults(arm: ArmValues) -> list[str]:
    uneven_P = (arm.n_SP != arm.n_SP[0]).any(axis=0)
    prompts = [prompt for prompt, uneven in zip(arm.prompts, uneven_P, strict=True) if uneven]
    what = f"{counted(len(prompts), 'prompt')} with another number of candidates in another seed: {_listed(prompts)}"
    return [f"arm {arm.arm}: {what}; give each seed the same"] if prompts else []


def _size_faults(arm: ArmValues, reference: ArmValues, pair: str) -> list[str]:
    ours = dict(zip(arm.prompts, arm.n_SP[0].tolist(), strict=True))
    theirs = dict(zip(reference.prompts, reference.n_SP[0].tolist(), strict=True))
    differing = [f"{p} ({ours[p]} and {theirs[p]})" for p in ours if p in theirs and ours[p] != theirs[p]]
    what = f"{counted(len(differing), 'prompt')} with other numbers of candidates: {_listed(differing)}"
    return [f"{pair}: {what}; draw as many for both"] if differing else []


def shared_metrics(arms: Sequence[ArmValues], ks: Iterable[int]) -> tuple[str, ...]:
    """Metrics that every arm has by prompt: pass@k, quality, USQ@k and diversity, in that order.

    USQ@k is compared only where it is of the same thing in all arms, quality or passes.
    """
    first = arms[0]
    names = [f"pass_at_{k}" for k in ks] + ["quality"]
    if len({arm.judged_by for arm in arms}) == 1:
        names += [f"usq_{selector}_at_{k}" for selector in first.selectors for k in ks if k > 1]
    names += list(first.diversity)
    return tuple(name for name in names if all(name in arm.values_SP for arm in arms))


def arm_differences(
    arms: Sequence[ArmValues], reference: str, metrics: Sequence[str], rng: np.random.Generator, resamples: int
) -> tuple[ArmDifference, ...]:
    """Every other arm minus `reference` on every metric, Holm over all of these tests.

    Raises: InputError where prompts or their numbers of candidates differ; MetricError where seeds differ.
    """
    pairs = [(arm.arm, reference) for arm in arms if arm.arm != reference]
    return pairwise_differences(arms, pairs, metrics, rng, resamples)


def pairwise_differences(
    arms: Sequence[ArmValues],
    pairs: Sequence[tuple[str, str]],
    metrics: Sequence[str],
    rng: np.random.Generator,
    resamples: int,
) -> tuple[ArmDifference, ...]:
    """First minus second of each pair on every metric, Holm over all of these tests; raises as `arm_differences`."""
    check_same_prompts(arms)
    pooled = {arm.arm: PooledArm(arm.arm, arm.seeds, {name: arm.values_SP[name] for name in metrics}) for arm in arms}
    found = [
        (item, cliffs_delta(*_means(pooled[arm], pooled[reference], item.metric)))
        for arm, reference in pairs
        for item in compare(pooled[arm], pooled[reference], rng, resamples)
    ]
    tested = [i for i, (item, _) in enumerate(found) if not math.isnan(item.p)]
    adjusted = dict(zip(tested, holm([found[i][0].p for i in tested]).tolist(), strict=True))
    return tuple(
        _difference(item, delta, adjusted.get(i, math.nan), len(tested)) for i, (item, delta) in enumerate(found)
    )


def _means(arm: PooledArm, reference: PooledArm, metric: str) -> tuple[Floats, Floats]:
    """Means over seeds of the prompts where both are defined."""
    a_P, b_P = arm.values_SP[metric].mean(axis=0), reference.values_SP[metric].mean(axis=0)
    defined_P = ~(np.isnan(a_P) | np.isnan(b_P))
    return a_P[defined_P], b_P[defined_P]


def _difference(item: Comparison, delta: float, p_holm: float, family: int) -> ArmDifference:
    found, better = item.difference, direction(item.metric)
    claim = item.distinguishable and p_holm <= LEVEL
    return ArmDifference(
        arm=item.arm,
        reference=item.reference,
        metric=item.metric,
        better=better,
        difference=found.value,
        low=found.low,
        high=found.high,
        n=found.n,
        seeds=item.seeds,
        p=item.p,
        p_holm=p_holm,
        family=family,
        cohens_d=item.cohens_d,
        cliffs_delta=delta,
        minimum_detectable_effect=item.minimum_detectable_effect,
        saturated=item.saturated,
        claim=claim,
        sentence=_sentence(item, better, p_holm, family, claim),
    )


def _sentence(item: Comparison, better: str, p_holm: float, family: int, claim: bool) -> str:
    found = item.difference
    names = f"{item.arm} and {item.reference} on {item.metric}"
    if not found.n:
        return f"{names}: no prompt is defined in both; nothing can be said."
    if found.n == 1:
        return f"{names}: {found.value:+.3f} on one prompt; nothing can be said about others."
    if found.value == 0 and item.minimum_detectable_effect == 0:
        return f"{names} are equal on {counted(found.n, 'prompt')}, each by itself."
    over = counted(found.n, "prompt") + (f" and {item.seeds} seeds" if item.seeds > 1 else "")
    numbers = f"{found.value:+.3f}, 95 % interval {found.low:+.3f} to {found.high:+.3f}, over {over}"
    corrected = f"Holm-corrected p = {p_holm:.3g} over {counted(family, 'test')}"
    if claim:
        up = found.value > 0
        word = ("better" if up == (better == "higher") else "worse") if better else ("higher" if up else "lower")
        scope = "" if item.covers_training_runs else "; for these training runs, not for new ones"
        return f"{item.arm} is {word} than {item.reference} on {item.metric}: {numbers}; {corrected}{scope}."
    return f"{names} are not distinguishable: {numbers}; {corrected}{_reach(item)}."


def _reach(item: Comparison) -> str:
    if item.saturated:
        return "; both are saturated, so this metric cannot tell them apart"
    if item.distinguishable:
        return "; the interval alone excludes 0, which some interval of a family this large may do by chance"
    effect = item.minimum_detectable_effect
    return "" if math.isnan(effect) else f"; a difference of {effect:.3f} would be seen with 80 % power"


def difference_notes(arms: Sequence[ArmValues], recorded: bool = False) -> tuple[str, ...]:
    """What the comparison leaves out and does not cover; `recorded` where the diversity of some arms was read."""
    notes = ["diversity of runs is as recorded, by the tokenizer and encoder of their scoring"] if recorded else []
    if any(len(arm.seeds) == 1 for arm in arms):
        alone = [arm.arm for arm in arms if len(arm.seeds) == 1]
        about = "no claim about the training method, only about these training runs on new prompts"
        notes.append(f"one seed of {_listed(alone)}: {about}")
    every = dict.fromkeys(name for arm in arms for name in (*arm.selectors, *arm.diversity))
    shared = {name for name in every if all(name in (*arm.selectors, *arm.diversity) for arm in arms)}
    lacking = [name for name in every if name not in shared]
    if lacking:
        notes.append(f"left out, because not every arm has it: {_listed(lacking)}")
    for absent, name in (("passed", "pass_at_1"), ("quality", "quality")):
        if not all(name in arm.values_SP for arm in arms):
            notes.append(f"not every arm has the column {absent}: {name.replace('_1', '_k')} is not compared")
    if len({arm.judged_by for arm in arms}) > 1:
        notes.append("USQ of some arms is of quality, of others of passes: it is not compared")
    return tuple(notes)


def counted(number: int, noun: str) -> str:
    """A number with its noun: 1 prompt, 2 prompts."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
