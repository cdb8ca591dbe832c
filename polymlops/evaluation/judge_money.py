"""What judging costs: the price of tokens, the worst case of a call, and a meter that counts against the budget."""

from __future__ import annotations

import logging
import math
import threading
from dataclasses import dataclass, replace

from polymlops.config.judge import EndpointJudgeConfig, TokenPrice
from polymlops.evaluation.judge_pacing import StopAskingError
from polymlops.evaluation.judge_replies import Reply
from polymlops.evaluation.judge_store import PICO, Budget, VerdictStore

logger = logging.getLogger(__name__)

TEMPLATE_TOKENS = 256  # what a chat template may add to two messages
PICO_PER_PRICE = PICO // 10**6  # one dollar per million tokens, for one token


@dataclass(frozen=True, slots=True)
class Bill:
    """What a run took: requests sent, dollars of those whose tokens were told, worst case of the others."""

    calls: int
    dollars: float
    dollars_uncertain: float


def cost(price: TokenPrice, input_tokens: int, output_tokens: int) -> int:
    """Picodollars of a call, rounded up."""
    return math.ceil((price.input * input_tokens + price.output * output_tokens) * PICO_PER_PRICE)


def worst_case(config: EndpointJudgeConfig, body_bytes: int) -> int:
    """Picodollars that a call can cost at most: no tokenizer makes more tokens than a request has bytes."""
    price = config.prices.get(config.model)
    return 0 if price is None else cost(price, body_bytes + TEMPLATE_TOKENS, config.max_output_tokens)


class Meter:
    """Counts the calls and the money of one run, in the store for the budget and here for the report; thread-safe."""

    def __init__(self, store: VerdictStore, judge: str, budget: Budget, price: TokenPrice | None) -> None:
        self._store, self._judge, self._budget, self._price = store, judge, budget, price
        self._ended = threading.Condition()
        self._calls, self._under_way, self._pico, self._pico_uncertain = 0, 0, 0, 0

    @property
    def bill(self) -> Bill:
        """What has been counted so far; dollars are NaN without a price."""
        if self._price is None:
            return Bill(self._calls, math.nan, math.nan)
        return Bill(self._calls, self._pico / PICO, self._pico_uncertain / PICO)

    def reserve(self, worst: int) -> None:
        """Count a call at its worst case; waits while calls under way may still give money back.

        Raises:
            StopAskingError: that would pass the budget.
        """
        with self._ended:
            while not self._store.reserve(self._judge, worst, self._budget):
                if self._under_way == 0:
                    raise StopAskingError(self._exhausted(worst))
                self._ended.wait()
            self._under_way += 1
            self._calls += 1

    def cancel(self, worst: int) -> None:
        """Take a call back that never left."""
        self._store.settle(self._judge, -worst, calls=-1)
        self._end(calls=-1)

    def refund(self, worst: int) -> None:
        """Give the money of a call back that was not answered; the call counts."""
        self._store.settle(self._judge, -worst)
        self._end()

    def lose(self, worst: int) -> None:
        """Leave the worst case counted: nobody knows whether the call was paid for."""
        self._end(uncertain=worst)

    def pay(self, reply: Reply, worst: int) -> Reply:
        """Replace the worst case of an answered call by its cost; returns the reply with it."""
        if self._price is None or reply.input_tokens is None or reply.output_tokens is None:
            self.lose(worst)
            return reply
        pico = cost(self._price, reply.input_tokens, reply.output_tokens)
        if pico > worst:
            logger.warning(
                "judge %s: a call cost %d picodollars, more than its worst case %d", self._judge, pico, worst
            )
        self._store.settle(self._judge, pico - worst)
        self._end(pico=pico)
        return replace(reply, dollars=pico / PICO)

    def _end(self, calls: int = 0, pico: int = 0, uncertain: int = 0) -> None:
        with self._ended:
            self._under_way -= 1
            self._calls += calls
            self._pico += pico
            self._pico_uncertain += uncertain
            self._ended.notify_all()

    def _exhausted(self, worst: int) -> str:
        spent = self._store.spending(self._judge)
        limits = f"budget_calls {self._budget.calls}, budget_dollars {self._budget.dollars}"
        return (
            f"the next call may cost {worst / PICO:.6f} dollars and would pass the budget ({limits}): {spent.calls} "
            f"calls and {spent.dollars:.6f} dollars are spent or reserved in this store; raise the budget to go on"
        )
