"""What a table of scores must say besides its numbers: what is undefined or left out, and what not to conclude."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from polymlops.evaluation.candidate_groups import CandidateGroup
from polymlops.evaluation.candidate_scores import ArmValues
from polymlops.metrics.arrays import blocks
from polymlops.records import Estimate

SATURATED = 0.98
NAMED = 5
ABSENT = {
    "passed": "pass@k, DER, coverage efficiency and the collapse point",
    "quality": "mean quality and oracle max@k",
}


def reason_undefined(metric: str, found: Estimate, undefined: int) -> str:
    """Why a metric has no value, no interval, or fewer prompts than the arm; empty where there is nothing to say."""
    if found.n and math.isnan(found.value):
        return _without_value(metric)
    lone = "one prompt: no interval" if found.n == 1 else ""
    if not undefined:
        return lone
    left_out = f"{undefined} of {undefined + found.n} prompts not counted: {_needs(metric)}"
    return "; ".join(part for part in (left_out, lone) if part)


def _without_value(metric: str) -> str:
    if metric.startswith("der_at"):
        return "pass@1 is 0: DER has no value"
    if metric.startswith("coverage_efficiency"):
        return "all or none of the candidates pass: coverage efficiency has no value"
    return "the oracle gains nothing: efficiency has no value"


def _needs(metric: str) -> str:
    """What a prompt must have for the metric."""
    base, _, k = metric.rpartition("_at_")
    if metric == "quality":
        return "it needs a judged candidate"
    if metric.startswith("rarefied_distinct"):
        return f"it needs {k} bigrams"
    if base:
        return f"it needs {k} candidates"
    if metric.startswith("correlation"):
        return "it needs candidates that differ in quality and in selector"
    if metric in ("self_bleu", "pairwise_bleu", "semantic_diversity"):
        return "it needs two candidates"
    return "it needs tokens, from every seed"


def score_notes(arms: Sequence[ArmValues], groups: Sequence[CandidateGroup], ignored: Sequence[str]) -> tuple[str, ...]:
    """One line each: columns ignored and absent, prompts and n that differ, constant selectors, single seeds."""
    notes = [f"columns ignored: {_listed(ignored)}"] if ignored else []
    for arm in arms:
        notes += [f"arm {arm.arm}: {what}" for what in _arm_notes(arm, [g for g in groups if g.arm == arm.arm])]
    if len({arm.prompts for arm in arms}) > 1:
        notes.append("arms answer different prompts: their numbers do not compare")
    if len({_sizes(arm) for arm in arms}) > 1:
        notes.append("arms have different numbers of candidates: self-BLEU, distinct-n and Vendi do not compare")
    return tuple(notes)


def _arm_notes(arm: ArmValues, groups: Sequence[CandidateGroup]) -> Iterator[str]:
    answered_SP = arm.n_SP[arm.n_SP > 0]
    low, high = int(answered_SP.min()), int(answered_SP.max())
    size = f"{low}" if low == high else f"{low} to {high}"
    seeds = "one seed" if len(arm.seeds) == 1 else f"{len(arm.seeds)} seeds"
    yield f"{len(arm.prompts)} prompts, {seeds}, n = {size} candidates a prompt"
    if low != high:
        yield "n differs between prompts: a prompt counts only up to its own n, and self-BLEU grows with n"
    if (arm.n_SP == 0).any():
        yield f"{int((arm.n_SP == 0).any(axis=0).sum())} prompts lack an answer of some seed: they are not counted"
    if len(arm.seeds) == 1:
        yield "with one seed, intervals speak of new prompts, not of another training run"
    for group in groups:
        yield from _unjudged(group)
    yield from _absent(arm)
    for name in groups[0].selectors_PK:
        if all(_is_constant(group, name) for group in groups):
            yield f"selector {name} is constant within every prompt: it picks at random"
    first = arm.values_SP.get("pass_at_1")
    if first is not None and np.nanmean(first) > SATURATED:
        yield f"pass@1 is above {SATURATED}: saturated, pass@k cannot tell arms apart"


def _unjudged(group: CandidateGroup) -> Iterator[str]:
    if group.judged_P is not None:
        lacking_P = group.n_P - group.judged_P
        yield unjudged_note(int(lacking_P.sum()), int((lacking_P > 0).sum()), harness_reasons(group.reasons))


def unjudged_note(candidates: int, prompts: int, reasons: Sequence[str]) -> str:
    """What is said of candidates that nobody could judge, with the reasons."""
    given = _listed(list(dict.fromkeys(reasons)))
    return (
        f"{candidates} candidates, of {prompts} prompts, without a verdict ({given}): pass@k and what "
        "else needs verdicts are over the judged ones, undefined for a prompt with fewer than k"
    )


def harness_reasons(reasons: Iterable[str]) -> list[str]:
    """Of programs, for people: what their harness said."""
    return [f"harness error: {reason or 'no reason given'}" for reason in reasons]


def _absent(arm: ArmValues) -> Iterator[str]:
    if arm.passes_SP is None:
        yield f"no column passed: {ABSENT['passed']} are left out"
    if arm.judged_by != "quality":
        yield f"no column quality: {ABSENT['quality']} are left out"
    if not arm.selectors:
        yield "no selector_* column with passed or quality beside it: USQ@k is left out"
    elif arm.judged_by == "passed":
        yield "USQ@k is the chance that the pick passes, and pass@k its oracle"
    if not arm.diversity:
        yield "no text: diversity and length are left out"


def _is_constant(group: CandidateGroup, selector: str) -> bool:
    found = blocks(group.selectors_PK[selector], "selector_PK")
    filled = [block.values_BK for block in found if block.values_BK.shape[1]]  # nobody judged the other prompts
    return all(bool((values_BK.min(axis=1) == values_BK.max(axis=1)).all()) for values_BK in filled)


def _sizes(arm: ArmValues) -> tuple[int, int]:
    answered_SP = arm.n_SP[arm.n_SP > 0]
    return int(answered_SP.min()), int(answered_SP.max())


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
