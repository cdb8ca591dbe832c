"""How far two judges agree, criterion by criterion or on pairs; the truth is a judge too."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from polymlops.errors import InputError
from polymlops.evaluation.judge_records import JudgeReport, PairReport, Verdict, Winner
from polymlops.metrics.agreement import Agreement, agreement

PLACES = {"first": 1.0, "tie": 0.0, "second": -1.0}


def score_agreement(
    first: JudgeReport,
    second: JudgeReport,
    rng: np.random.Generator,
    resamples: int = 10_000,
    clusters: Mapping[str, str] | None = None,
) -> dict[str, Agreement]:
    """Agreement on each criterion that both judges know, over the items that both were given, by item_key.

    An item that either judge left unscored counts as missing. `clusters` names the prompt of each item_key; intervals
    are then over prompts, whose items are not independent of each other.

    Raises:
        InputError: the reports have no criterion or no item in common.
    """
    criteria = [name for name in first.criteria if name in second.criteria]
    if not criteria:
        raise InputError(f"judges {first.judge} and {second.judge} have no criterion in common")
    ours, theirs = ({verdict.item_key: verdict for verdict in report.verdicts} for report in (first, second))
    keys = _common(list(ours), list(theirs))
    members = None if clusters is None else [clusters[key] for key in keys]

    def column(verdicts: Mapping[str, Verdict], name: str) -> list[float]:
        scores = [verdicts[key].scores for key in keys]
        return [math.nan if found is None else float(found[name]) for found in scores]

    return {name: agreement(column(ours, name), column(theirs, name), rng, resamples, members) for name in criteria}


def pair_agreement(
    first: PairReport,
    second: PairReport,
    rng: np.random.Generator,
    resamples: int = 10_000,
    clusters: Mapping[str, str] | None = None,
) -> Agreement:
    """Agreement on who wins each pair (first, tie, second, in this order); arguments and errors as above."""
    ours, theirs = ({found.item_key: _place(found.winner) for found in report.verdicts} for report in (first, second))
    keys = _common(list(ours), list(theirs))
    members = None if clusters is None else [clusters[key] for key in keys]
    return agreement([ours[key] for key in keys], [theirs[key] for key in keys], rng, resamples, members)


def agreement_metrics(found: Agreement, prefix: str) -> dict[str, float]:
    """Every coefficient with both ends of its interval, and the counts, by name under a prefix."""
    metrics = {f"{prefix}/items": float(found.items), f"{prefix}/missing": float(found.missing)}
    for name in ("kappa", "quadratic_kappa", "alpha_nominal", "alpha_ordinal", "alpha_interval"):
        estimate = getattr(found, name)
        metrics |= {f"{prefix}/{name}": estimate.value, f"{prefix}/{name}_low": estimate.low}
        metrics[f"{prefix}/{name}_high"] = estimate.high
    return metrics


def _place(winner: Winner | None) -> float:
    return math.nan if winner is None else PLACES[winner]


def _common(ours: Sequence[str], theirs: Sequence[str]) -> list[str]:
    known = set(theirs)
    keys = [key for key in ours if key in known]
    if not keys:
        raise InputError("the two judges were given no item in common, by item_key")
    return keys
