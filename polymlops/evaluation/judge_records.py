"""What goes into the judge and what comes out: items and pairs, verdicts, and the reports on them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

# scored    the answer parsed
# unscored  no answer parsed, or none came; stored, with the reason
# refused   the model or its endpoint declined this very item; stored, with the reason
# failed    the calls failed on their way, retries included; not stored, asked again by the next run
# unasked   a budget or a long wait ended the judging before; not stored, asked by the next run
Outcome = Literal["scored", "unscored", "refused", "failed", "unasked"]
Winner = Literal["first", "second", "tie"]


@dataclass(frozen=True, slots=True)
class Item:
    """A text to score by the rubric. `item_key` is the caller's name of it; `prompt_id` is what the truth looks up."""

    item_key: str
    prompt: str
    text: str
    prompt_id: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts for one prompt, to be compared."""

    item_key: str
    prompt: str
    first: str
    second: str
    prompt_id: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one question: values by name where scored (scores, or `winner`), and what it took.

    `reason` is the judge's own where scored, else why there is no verdict.
    Tokens are None where the endpoint did not say. `dollars` is NaN where the price or the tokens are not known.
    `cached` says that it came from the store, where its cost was paid before.
    """

    outcome: Outcome
    values: Mapping[str, int | str] | None = None
    reason: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    dollars: float = math.nan
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judge's scores of one item, 1 to 10 by criterion; None where the outcome is not `scored`.

    The other fields are those of `Answer`.
    """

    item_key: str
    scores: Mapping[str, int] | None
    outcome: Outcome
    reason: str
    input_tokens: int | None
    output_tokens: int | None
    dollars: float
    cached: bool


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """The judge's choice between two texts, asked in both orders.

    `preference` is the mean over both orders of 1 (the first text wins), 1/2 (tie) and 0; NaN where an order has no
    verdict. `winner` is the text above 1/2, else `tie`. `flipped`: the orders name opposite winners, that is, the place
    decided. `shown_first_wins` counts the orders, of `decided`, whose winner was the text shown first.
    """

    item_key: str
    winner: Winner | None
    preference: float
    flipped: bool | None
    shown_first_wins: int
    decided: int
    outcome: Outcome
    reason: str
    input_tokens: int | None
    output_tokens: int | None
    dollars: float
    cached: bool


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of distinct questions (a pair is two) and what this run spent.

    `asked` questions were put to the judge in this run, failed ones too; `cached` had their answer in the store.
    `calls` counts requests, retries included. `dollars` is what is known of this run's cost, NaN without a price;
    `dollars_uncertain` the worst case of calls whose token counts never came. `stopped` says why judging ended early,
    or is empty.
    """

    questions: int
    asked: int
    cached: int
    scored: int
    unscored: int
    refused: int
    failed: int
    unasked: int
    calls: int
    dollars: float
    dollars_uncertain: float
    stopped: str = ""

    def metrics(self) -> dict[str, float]:
        """Every number by name, for a tracker."""
        names = [name for name in self.__slots__ if name != "stopped"]
        return {name: float(getattr(self, name)) for name in names}


@dataclass(frozen=True, slots=True)
class JudgeReport:
    """A verdict for every item, in order, and the totals."""

    judge: str
    criteria: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    totals: Totals


@dataclass(frozen=True, slots=True)
class PairReport:
    """A verdict for every pair, in order; rates over the pairs with verdicts in both orders, NaN where there is none.

    `flip_rate` counts opposite winners, `wavering_rate` a winner in one order and a tie in the other, `tie_rate`
    preferences of exactly 1/2. `shown_first_rate` is the share of decided verdicts for the text shown first: 1/2
    is a judge without a preference for a place.
    """

    judge: str
    verdicts: tuple[PairVerdict, ...]
    totals: Totals
    scored_pairs: int
    flip_rate: float
    wavering_rate: float
    tie_rate: float
    shown_first_rate: float
