"""The LLM judge: scores by a rubric and choices between two texts, by an endpoint, a local model or the truth.

    report = judge_items(config, items, store=folder / "verdicts.sqlite")
    pairs = judge_pairs(config, pairs, store=folder / "verdicts.sqlite")

A run asks only what the store does not hold. What ends early, by budget or fault, is in the report or an error; what
was answered until then is stored, and the next run goes on from there. An interrupt waits for the calls under way.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from polymlops.config.judge import (
    EndpointJudgeConfig,
    JudgeConfig,
    LocalJudgeConfig,
    RubricConfig,
    TruthJudgeConfig,
)
from polymlops.data.truth import Truth
from polymlops.errors import InputError
from polymlops.evaluation.judge_endpoint import Endpoint
from polymlops.evaluation.judge_key import hidden_in_logs, read_key
from polymlops.evaluation.judge_local import LocalJudge
from polymlops.evaluation.judge_money import Bill, Meter
from polymlops.evaluation.judge_pairs import pair_report
from polymlops.evaluation.judge_prompts import Asker, Question
from polymlops.evaluation.judge_records import (
    Answer,
    Item,
    JudgeReport,
    Pair,
    PairReport,
    PairVerdict,
    Totals,
    Verdict,
)
from polymlops.evaluation.judge_run import Asked, Asking, Backend
from polymlops.evaluation.judge_store import Budget, VerdictStore
from polymlops.evaluation.judge_truth import TruthJudge

__all__ = [
    "Item",
    "JudgeReport",
    "Pair",
    "PairReport",
    "PairVerdict",
    "Totals",
    "Verdict",
    "VerdictStore",
    "judge_items",
    "judge_pairs",
]
FREE = Bill(0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class _Session:
    """An open judge: who answers, how questions are put, and what has been spent."""

    backend: Backend
    asker: Asker
    asking: Asking
    meter: Meter | None

    @property
    def bill(self) -> Bill:
        """What this run took so far."""
        return FREE if self.meter is None else self.meter.bill


def judge_items(
    config: JudgeConfig, items: Sequence[Item], store: Path | None = None, truth: Truth | None = None
) -> JudgeReport:
    """Score every item by the rubric; equal questions are asked once.

    Args:
        config: backend and rubric.
        items: what to score; each with its own item_key.
        store: the SQLite file of verdicts, made where it is missing; only the truth does without.
        truth: the posts of the prepared dataset, for `truth` in the domain `social`.

    Raises:
        InputError: an item_key comes twice, or the key, the store, the model or the truth is missing.
        UsageError: the endpoint cannot be reached or lets nobody in (401, 402, 403, 404); verdicts so far are kept.
        StageError: the store took no more.
    """
    check_keys([item.item_key for item in items])
    with _session(config, store, truth) as session:
        questions = [session.asker.score(item) for item in items]
        asked = session.asking.run({question.key: question for question in questions})
        totals = _totals(asked, session.bill)
        name = session.backend.name
    verdicts = [_verdict(item, asked.answers[question.key]) for item, question in zip(items, questions, strict=True)]
    criteria = tuple(criterion.name for criterion in config.rubric.criteria)
    return JudgeReport(name, criteria, tuple(verdicts), totals)


def judge_pairs(
    config: JudgeConfig, pairs: Sequence[Pair], store: Path | None = None, truth: Truth | None = None
) -> PairReport:
    """Compare the two texts of every pair, in both orders; arguments and errors as in `judge_items`."""
    check_keys([pair.item_key for pair in pairs])
    with _session(config, store, truth) as session:
        orders = [(session.asker.compare(pair, False), session.asker.compare(pair, True)) for pair in pairs]
        questions: dict[str, Question] = {question.key: question for both in orders for question in both}
        asked = session.asking.run(questions)
        totals = _totals(asked, session.bill)
        name = session.backend.name
    answers = [(asked.answers[straight.key], asked.answers[swapped.key]) for straight, swapped in orders]
    return pair_report(name, pairs, answers, totals)


def check_keys(keys: Sequence[str]) -> None:
    """Raise InputError where an item_key comes twice."""
    [(key, count)] = Counter(keys).most_common(1) or [("", 1)]
    if count > 1:
        raise InputError(f"item_key {key!r} comes {count} times: each verdict needs its own")


@contextmanager
def _session(config: JudgeConfig, path: Path | None, truth: Truth | None) -> Iterator[_Session]:
    """Open what the config names, and close it."""
    if isinstance(config.backend, TruthJudgeConfig):
        judge = TruthJudge(config.backend, truth)
        asker = Asker(judge.identity, config.backend.decoding, config.rubric, by_prompt_id=True)
        yield _Session(judge, asker, Asking(judge, None, threading.Event()), None)
    elif path is None:
        raise InputError(f"judge kind {config.backend.kind!r} needs a store for its verdicts; name a file")
    elif isinstance(config.backend, LocalJudgeConfig):
        local = LocalJudge(config.backend)
        with VerdictStore(path) as store:
            asker = Asker(local.identity, config.backend.decoding, config.rubric)
            yield _Session(local, asker, Asking(local, store, threading.Event()), None)
    else:
        with _endpoint_session(config.backend, config.rubric, path) as session:
            yield session


@contextmanager
def _endpoint_session(config: EndpointJudgeConfig, rubric: RubricConfig, path: Path) -> Iterator[_Session]:
    key, stop = read_key(config.key_env), threading.Event()
    with VerdictStore(path) as store, hidden_in_logs(key):
        meter = _meter(config, store)
        with closing(Endpoint(config, key, meter, stop)) as endpoint:
            asker = Asker(endpoint.identity, config.decoding, rubric)
            yield _Session(endpoint, asker, Asking(endpoint, store, stop), meter)


def _meter(config: EndpointJudgeConfig, store: VerdictStore) -> Meter:
    budget = Budget(config.budget_calls, config.budget_dollars)
    return Meter(store, config.identity, budget, config.prices.get(config.model))


def _verdict(item: Item, answer: Answer) -> Verdict:
    scores = None if answer.values is None else {name: int(value) for name, value in answer.values.items()}
    return Verdict(
        item.item_key,
        scores,
        answer.outcome,
        answer.reason,
        answer.input_tokens,
        answer.output_tokens,
        answer.dollars,
        answer.cached,
    )


def _totals(asked: Asked, bill: Bill) -> Totals:
    outcomes = Counter(answer.outcome for answer in asked.answers.values())
    cached = sum(answer.cached for answer in asked.answers.values())
    return Totals(
        questions=len(asked.answers),
        asked=len(asked.answers) - cached - outcomes["unasked"],
        cached=cached,
        scored=outcomes["scored"],
        unscored=outcomes["unscored"],
        refused=outcomes["refused"],
        failed=outcomes["failed"],
        unasked=outcomes["unasked"],
        calls=bill.calls,
        dollars=bill.dollars,
        dollars_uncertain=bill.dollars_uncertain,
        stopped=asked.stopped,
    )
