"""The judge against a server that misbehaves: nothing lost, nothing asked twice, calls counted exactly."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from judge_server import Act, JudgeServer, check_complete, completion, first_times, length_items, proper, quick

from polymlops.evaluation.judge import Item, judge_items

N = 12
ITEMS = length_items(N)


@pytest.fixture
def store(tmp_path):
    return tmp_path / "verdicts.sqlite"


def test_a_proper_server_is_asked_once_an_item_and_never_again(store):
    with JudgeServer() as server:
        first = judge_items(quick(server), ITEMS, store)
        check_complete(first)
        assert first.totals.asked == first.totals.scored == first.totals.calls == len(server.seen) == N
        second = judge_items(quick(server), ITEMS, store)
        check_complete(second)
        assert len(server.seen) == N
        assert (second.totals.asked, second.totals.cached, second.totals.calls) == (0, N, 0)
        more = judge_items(quick(server), [*ITEMS, Item("new", "Prompt.", "another")], store)
        assert (more.totals.asked, more.totals.cached) == (1, N)
        assert len(server.seen) == N + 1


def test_equal_texts_are_asked_once_and_another_model_or_decoding_again(store):
    twins = [Item("a", "Prompt.", "same"), Item("b", "Prompt.", "same")]
    with JudgeServer() as server:
        report = judge_items(quick(server), twins, store)
        assert [verdict.scores for verdict in report.verdicts] == [report.verdicts[0].scores] * 2
        assert len(server.seen) == report.totals.questions == 1
        judge_items(quick(server, model="other"), twins, store)
        judge_items(quick(server, temperature=0.5), twins, store)
        assert len(server.seen) == 3


@pytest.mark.parametrize(
    "act",
    [
        Act(status=500),
        Act(status=503, body="<html>busy</html>"),
        Act(body=completion("x" * 400), cut=True),
        Act(status=429, headers={"Retry-After": "0"}),
        Act(status=429, headers={"Retry-After": "soon"}),
        Act(status=408),
    ],
    ids=["500", "503", "cut", "429", "429 unreadable", "408"],
)
def test_what_fails_on_its_way_is_asked_again_until_it_comes(store, act):
    faults = 3
    with JudgeServer(first_times(faults, act)) as server:
        report = judge_items(quick(server), ITEMS, store)
        check_complete(report)
        assert len(server.seen) == report.totals.calls == N + faults
        judge_items(quick(server), ITEMS, store)
        assert len(server.seen) == N + faults


def test_a_slow_server_is_asked_again_after_the_timeout(store):
    with JudgeServer(first_times(1, Act(delay=2.0))) as server:
        report = judge_items(quick(server, timeout=0.5, concurrency=1), ITEMS[:2], store)
        assert report.totals.scored == 2
        assert len(server.seen) == report.totals.calls == 3


def test_a_server_that_drips_is_cut_off_though_no_single_read_times_out(store):
    def script(number, seen):
        act = proper(number, seen)
        return replace(act, drip=0.02) if number == 0 else act  # whole, and too late: 200 bytes take 4 seconds

    with JudgeServer(script) as server:
        report = judge_items(quick(server, timeout=0.5, concurrency=1), ITEMS[:1], store)
        assert report.totals.scored == 1
        assert len(server.seen) == 2


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_waited_for(store, as_date):
    def script(number, seen):
        value = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True) if as_date else "2"
        return Act(status=429, headers={"Retry-After": value}) if number == 0 else proper(number, seen)

    with JudgeServer(script) as server:
        report = judge_items(quick(server, concurrency=1), ITEMS[:3], store)
        assert report.totals.scored == 3
        assert len(server.seen) == 4
        least = 0.9 if as_date else 2.0  # a date has whole seconds: up to one of the two may be gone
        assert server.seen[1].at - server.seen[0].at >= least


def test_too_long_a_wait_ends_the_judging_and_keeps_what_there_is(store):
    script = lambda number, seen: Act(status=429, headers={"Retry-After": "86400"}) if number == 5 else proper(0, seen)  # noqa: E731
    with JudgeServer(script) as server:
        report = judge_items(quick(server, concurrency=1), ITEMS, store)
        assert (report.totals.scored, report.totals.unasked) == (5, N - 5)
        assert "86400 s" in report.totals.stopped
        assert {verdict.reason for verdict in report.verdicts[5:]} == {report.totals.stopped}
        server.script = proper
        check_complete(judge_items(quick(server), ITEMS, store))
        assert len(server.seen) == N + 1


@pytest.mark.parametrize(
    "content",
    [
        '{"reason": "", "coherence": 7, "engage',
        '{"reason": "", "coherence": 7}',
        '{"reason": "", "coherence": 7, "engagement": 7, "originality": 7, "fit": 11}',
        '{"reason": "", "coherence": 7.0, "engagement": 7, "originality": 7, "fit": 7}',
        "I would say 7 out of 10.",
        "",
    ],
)
def test_a_verdict_that_does_not_parse_is_retried_then_unscored_never_a_score(store, content):
    def script(number, seen):
        return Act(body=completion(content)) if seen.blocks["TEXT"] == "xxx" else proper(number, seen)

    with JudgeServer(script) as server:
        report = judge_items(quick(server, parse_retries=2), ITEMS, store)
        bad = report.verdicts[2]
        assert (bad.outcome, bad.scores) == ("unscored", None)
        assert bad.reason.startswith("no answer of 3 parsed")
        assert (bad.input_tokens, bad.output_tokens) == (300, 60)
        assert report.totals.unscored == 1
        assert report.totals.scored == N - 1
        assert len(server.seen) == report.totals.calls == N + 2
        again = judge_items(quick(server, parse_retries=2), ITEMS, store)
        assert len(server.seen) == N + 2
        assert again.verdicts[2].reason == bad.reason


@pytest.mark.parametrize(
    "body",
    ['{"choices": [{"mess', "[]", '{"choices": []}', '{"choices": [{"message": {"content": 7}}]}', "", "[" * 100_000],
    ids=["truncated", "list", "no choice", "content is a number", "empty", "too deep"],
)
def test_a_response_that_is_no_completion_is_retried_then_unscored(store, body):
    with JudgeServer(lambda number, seen: Act(body=body)) as server:
        report = judge_items(quick(server, parse_retries=1), ITEMS[:1], store)
        assert report.verdicts[0].outcome == "unscored"
        assert report.verdicts[0].input_tokens is None
        assert len(server.seen) == 2


def test_a_second_answer_that_parses_counts(store):
    with JudgeServer(first_times(1, Act(body=completion("hm")))) as server:
        report = judge_items(quick(server, concurrency=1), ITEMS, store)
        check_complete(report)
        assert report.verdicts[0].output_tokens == 40
        assert len(server.seen) == N + 1


@pytest.mark.parametrize(
    ("content", "message", "finish", "outcome"),
    [
        (None, {"refusal": "I cannot."}, "stop", "refused"),
        ("", {}, "content_filter", "refused"),
        ('{"reason": "", "coherence"', {}, "length", "unscored"),
    ],
)
def test_a_model_that_declines_is_refused_and_one_that_is_cut_is_unscored(store, content, message, finish, outcome):
    act = Act(body=completion(content, finish, **message))
    with JudgeServer(first_times(3, act)) as server:
        report = judge_items(quick(server, concurrency=1, parse_retries=2), ITEMS, store)
        assert report.verdicts[0].outcome == outcome
        assert report.verdicts[0].scores is None
        refused = 3 if outcome == "refused" else 0
        assert report.totals.refused == refused
        assert len(server.seen) == N + (0 if refused else 2)


def test_as_many_calls_are_under_way_as_may_be_and_no_more(store):
    lanes, most = 3, []
    barrier, lock, now = threading.Barrier(lanes), threading.Lock(), [0]

    def script(number, seen):
        with lock:
            now[0] += 1
            most.append(now[0])
        barrier.wait(30)  # opens only when three calls are here at once
        with lock:
            now[0] -= 1
        return proper(number, seen)

    with JudgeServer(script) as server:
        check_complete(judge_items(quick(server, concurrency=lanes), ITEMS, store))
    assert max(most) == lanes
