"""Two orders of a pair made into one verdict, and how much the order itself decided."""

from __future__ import annotations

import math
from collections.abc import Sequence

from polymlops.evaluation.judge_records import Answer, Outcome, Pair, PairReport, PairVerdict, Totals, Winner
from polymlops.evaluation.judge_run import total

# What is worse stands first: it is what a pair of which one order lacks its verdict is called by.
WORST_FIRST: tuple[Outcome, ...] = ("unasked", "failed", "refused", "unscored", "scored")
SHOWN_FIRST = {"A": 1.0, "B": 0.0, "tie": 0.5}


def pair_report(
    judge: str, pairs: Sequence[Pair], answers: Sequence[tuple[Answer, Answer]], totals: Totals
) -> PairReport:
    """The report on pairs; each pair's answers are those of the order given and of the swapped one."""
    verdicts = tuple(pair_verdict(pair, *both) for pair, both in zip(pairs, answers, strict=True))
    scored = [verdict for verdict in verdicts if verdict.outcome == "scored"]
    decided = sum(verdict.decided for verdict in scored)
    return PairReport(
        judge=judge,
        verdicts=verdicts,
        totals=totals,
        scored_pairs=len(scored),
        flip_rate=share([verdict.flipped is True for verdict in scored]),
        wavering_rate=share([verdict.decided == 1 for verdict in scored]),
        tie_rate=share([verdict.winner == "tie" for verdict in scored]),
        shown_first_rate=sum(verdict.shown_first_wins for verdict in scored) / decided if decided else math.nan,
    )


def pair_verdict(pair: Pair, straight: Answer, swapped: Answer) -> PairVerdict:
    """One verdict from the order given and the swapped one; none where either has none."""
    both = (straight, swapped)
    outcome = min((answer.outcome for answer in both), key=WORST_FIRST.index)
    names = ("order as given", "order swapped")
    reasons = [f"{name}: {answer.reason}" for name, answer in zip(names, both, strict=True) if answer.reason]
    preference, shown_first, decided = math.nan, 0, 0
    winner: Winner | None = None
    if straight.values is not None and swapped.values is not None:
        shown = [SHOWN_FIRST[str(answer.values["winner"])] for answer in both if answer.values is not None]
        shown_first, decided = shown.count(1.0), len(shown) - shown.count(0.5)
        preference = (shown[0] + 1 - shown[1]) / 2
        winner = "tie" if preference == 0.5 else "first" if preference > 0.5 else "second"
    return PairVerdict(
        item_key=pair.item_key,
        winner=winner,
        preference=preference,
        flipped=None if winner is None else preference == 0.5 and decided == 2,
        shown_first_wins=shown_first,
        decided=decided,
        outcome=outcome,
        reason="; ".join(reasons),
        input_tokens=total([answer.input_tokens for answer in both]),
        output_tokens=total([answer.output_tokens for answer in both]),
        dollars=straight.dollars + swapped.dollars,
        cached=straight.cached and swapped.cached,
    )


def share(flags: Sequence[bool]) -> float:
    """Share of true values; NaN where there is none."""
    return sum(flags) / len(flags) if flags else math.nan
