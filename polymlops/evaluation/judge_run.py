"""The run of a judge over its questions: what is stored is taken, the rest asked in threads and kept as it comes."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Protocol

from polymlops.evaluation.judge_endpoint import CallFailedError
from polymlops.evaluation.judge_pacing import StopAskingError
from polymlops.evaluation.judge_prompts import Question
from polymlops.evaluation.judge_records import Answer
from polymlops.evaluation.judge_replies import Reply
from polymlops.evaluation.judge_store import VerdictStore

LEASE = 60.0  # seconds for which a claim holds without being renewed
POLL = 0.2  # seconds between looks at a question that another process is asking
FAILED_IN_A_ROW = 8  # questions, retries included, after which an endpoint is taken to be down
REFUSED_AT_FIRST = 8  # questions, none answered before, after which it is the request that is wrong


class Backend(Protocol):
    """Who answers: `lanes` questions at once, each up to `tries` times until an answer parses."""

    name: str
    lanes: int
    tries: int

    @property
    def identity(self) -> str:
        """What makes its answers its own, for the keys."""

    def reply(self, question: Question) -> Reply:
        """Answer once. Raises UsageError, StopAskingError or CallFailedError."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An answer for every question by key, and why the asking ended early, or nothing."""

    answers: Mapping[str, Answer]
    stopped: str


class Asking:
    """One run; `store` is None for a backend whose answers cost nothing to make again."""

    def __init__(self, backend: Backend, store: VerdictStore | None, stop: threading.Event) -> None:
        self._backend, self._store, self._stop = backend, store, stop
        self._lock = threading.Lock()
        self._reason = ""
        self._failed, self._refused, self._answered = 0, 0, 0

    def run(self, questions: Mapping[str, Question]) -> Asked:
        """Answer the questions.

        Raises:
            UsageError: no call can succeed; the answers so far are stored.
            StageError: the store took no more.
        """
        answers = {key: found for key in questions if (found := self._stored(key)) is not None}
        missing = [question for key, question in questions.items() if key not in answers]
        ended = threading.Event()
        keeper = threading.Thread(target=self._keep_claims, args=[ended], name="judge-claims", daemon=True)
        keeper.start()
        try:
            answers |= self._ask_missing(missing, len(questions))
        finally:
            ended.set()
            keeper.join()
        return Asked({key: answers[key] for key in questions}, self._reason)

    def _ask_missing(self, missing: Sequence[Question], total_count: int) -> dict[str, Answer]:
        from tqdm import tqdm

        answers: dict[str, Answer] = {}
        name, stored = f"judge {self._backend.name}", total_count - len(missing)
        with (
            tqdm(total=total_count, initial=stored, desc=name, unit="verdict", disable=None) as bar,
            ThreadPoolExecutor(self._backend.lanes, thread_name_prefix="judge") as pool,
        ):
            try:
                futures: dict[Future[Answer], str] = {pool.submit(self._work, item): item.key for item in missing}
                for future in as_completed(futures):
                    answer = answers[futures[future]] = future.result()
                    bar.update(answer.outcome != "unasked")
            except BaseException:
                self._end("")
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return answers

    def _keep_claims(self, ended: threading.Event) -> None:
        """Renew this process's claims, so that only those of a dead process lapse."""
        while not ended.wait(LEASE / 4):
            if self._store is not None:
                self._store.renew(LEASE)

    def _stored(self, key: str) -> Answer | None:
        return None if self._store is None else self._store.answer(key)

    def _work(self, question: Question) -> Answer:
        """One question in a thread. Whatever is not expected ends the whole run."""
        if self._stop.is_set():
            return Answer("unasked", reason=self._reason)
        try:
            return self._claimed(question)
        except StopAskingError as stopped:
            self._end(str(stopped))
            return Answer("unasked", reason=self._reason)
        except BaseException:
            self._end("")
            raise

    def _claimed(self, question: Question) -> Answer:
        """Ask, unless another process has asked meanwhile, or does so now."""
        if self._store is None:
            return self._asked(question)
        while not self._store.claim(question.key, LEASE):
            if self._stop.wait(POLL):
                raise StopAskingError(self._reason)
        try:
            answer = self._store.answer(question.key) or self._asked(question)
            if not answer.cached and answer.outcome != "failed":
                self._store.record(question.key, self._backend.identity, answer)
        finally:
            self._store.release(question.key)
        self._watch(answer)
        return answer

    def _asked(self, question: Question) -> Answer:
        """Ask until an answer parses, `tries` times at most."""
        replies: list[Reply] = []
        for _ in range(self._backend.tries):
            try:
                reply = self._backend.reply(question)
            except CallFailedError as error:
                return summed("failed", replies, str(error))
            replies.append(reply)
            if reply.declined:
                return summed("refused", replies, reply.fault)
            fault = reply.fault
            if reply.text is not None:
                parsed = question.form.parse(reply.text)
                if parsed.values is not None:
                    return summed("scored", replies, parsed.reason, parsed.values)
                fault = parsed.fault
        return summed("unscored", replies, f"no answer of {len(replies)} parsed; the last: {fault}")

    def _watch(self, answer: Answer) -> None:
        """End the run where the endpoint is down, or refuses whatever it is asked."""
        with self._lock:
            self._failed = self._failed + 1 if answer.outcome == "failed" else 0
            self._refused += answer.outcome == "refused"
            self._answered += answer.outcome in ("scored", "unscored")
            down = self._failed >= FAILED_IN_A_ROW
            wrong = self._refused >= REFUSED_AT_FIRST and self._answered == 0
        if down:
            self._end(
                f"{FAILED_IN_A_ROW} questions in a row failed: {answer.reason}; run again when the endpoint is well"
            )
        elif wrong:
            self._end(
                f"the first {REFUSED_AT_FIRST} questions were all refused: {answer.reason}; check backend's settings"
            )

    def _end(self, reason: str) -> None:
        with self._lock:
            if not self._stop.is_set():
                self._reason = reason
                self._stop.set()


def summed(
    outcome: str, replies: Sequence[Reply], reason: str, values: Mapping[str, int | str] | None = None
) -> Answer:
    """An answer with the tokens and dollars of all replies that led to it; unknown where one of them is."""
    tokens = [total([reply.input_tokens for reply in replies]), total([reply.output_tokens for reply in replies])]
    dollars = math.fsum(reply.dollars for reply in replies)
    return Answer(outcome, values, reason, tokens[0], tokens[1], dollars)  # type: ignore[arg-type]  # callers pass outcomes


def total(counts: Sequence[int | None]) -> int | None:
    """Sum of the counts, or None where one is not known."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
