"""What ends the judging, or one item of it: refusals, no credit, an endpoint that is down or not there."""

from __future__ import annotations

import socket

import pytest
from judge_server import Act, JudgeServer, check_complete, length_items, proper, quick

from polymlops.errors import UsageError
from polymlops.evaluation.judge import judge_items
from polymlops.evaluation.judge_run import FAILED_IN_A_ROW, REFUSED_AT_FIRST

N = 12
ITEMS = length_items(N)


@pytest.fixture
def store(tmp_path):
    return tmp_path / "verdicts.sqlite"


@pytest.mark.parametrize(
    ("act", "remedy"),
    [
        (Act(status=401), "key is not accepted"),
        (Act(status=402), "no credit"),
        (Act(status=403), "key's rights"),
        (Act(status=404), "backend.model"),
        (Act(status=307, headers={"Location": "http://127.0.0.1:9/v1"}), "base_url"),
        (Act(status=429, body='{"error": {"code": "insufficient_quota", "message": "no quota"}}'), "no credit"),
    ],
    ids=["401", "402", "403", "404", "redirect", "no quota"],
)
def test_what_no_retry_can_mend_ends_at_once_and_keeps_what_there_is(store, act, remedy):
    with JudgeServer(lambda number, seen: act if number >= 5 else proper(number, seen)) as server:
        with pytest.raises(UsageError, match=remedy):
            judge_items(quick(server, concurrency=1), ITEMS, store)
        assert len(server.seen) == 6
        server.script = proper
        report = judge_items(quick(server), ITEMS, store)
        check_complete(report)
        assert (report.totals.cached, report.totals.asked) == (5, N - 5)
        assert len(server.seen) == 6 + N - 5


def test_402_with_many_threads_loses_nothing_that_was_answered(store):
    with JudgeServer(lambda number, seen: Act(status=402) if number >= 6 else proper(number, seen)) as server:
        with pytest.raises(UsageError, match="402"):
            judge_items(quick(server, concurrency=4), ITEMS, store)
        calls = len(server.seen)
        assert 7 <= calls <= 10  # the first 402 ends it; at most the other three threads were under way
        server.script = proper
        report = judge_items(quick(server), ITEMS, store)
        check_complete(report)
        assert report.totals.cached == 6
        assert len(server.seen) == calls + N - 6


def test_a_bad_request_is_the_items_own_and_stored(store):
    def script(number, seen):
        if seen.blocks["TEXT"] == "xx":
            return Act(status=400, body='{"error": {"message": "content policy"}}')
        return proper(number, seen)

    with JudgeServer(script) as server:
        report = judge_items(quick(server), ITEMS, store)
        assert report.verdicts[1].outcome == "refused"
        assert "content policy" in report.verdicts[1].reason
        assert (report.totals.scored, report.totals.refused) == (N - 1, 1)
        judge_items(quick(server), ITEMS, store)
        assert len(server.seen) == N


def test_a_request_that_is_always_refused_ends_the_judging(store):
    with JudgeServer(lambda number, seen: Act(status=400, body="unknown field")) as server:
        report = judge_items(quick(server, concurrency=1), ITEMS, store)
        assert len(server.seen) == REFUSED_AT_FIRST
        assert (report.totals.refused, report.totals.unasked) == (REFUSED_AT_FIRST, N - REFUSED_AT_FIRST)
        assert "all refused" in report.totals.stopped


def test_retries_that_run_out_are_a_recorded_outcome_and_asked_by_the_next_run(store):
    def script(number, seen):
        return Act(status=500) if seen.blocks["TEXT"] == "xxx" else proper(number, seen)

    with JudgeServer(script) as server:
        report = judge_items(quick(server, retries=2), ITEMS, store)
        assert (report.verdicts[2].outcome, report.verdicts[2].scores) == ("failed", None)
        assert "3 calls failed, the last with status 500" in report.verdicts[2].reason
        assert len(server.seen) == report.totals.calls == N - 1 + 3
        server.script = proper
        check_complete(judge_items(quick(server), ITEMS, store))
        assert len(server.seen) == N - 1 + 3 + 1


def test_an_endpoint_that_is_down_for_every_question_ends_the_judging(store):
    with JudgeServer(lambda number, seen: Act(status=500)) as server:
        report = judge_items(quick(server, retries=0, concurrency=1), ITEMS, store)
        assert len(server.seen) == FAILED_IN_A_ROW
        assert (report.totals.failed, report.totals.unasked) == (FAILED_IN_A_ROW, N - FAILED_IN_A_ROW)


def test_an_unreachable_endpoint_is_a_usage_error_that_counts_no_call(store):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        with pytest.raises(UsageError, match="nobody answers"):
            judge_items(quick(url, retries=1, budget_calls=2), ITEMS, store)
    with JudgeServer() as server:
        report = judge_items(quick(server, budget_calls=2), ITEMS, store)
        assert report.totals.calls == 2  # the calls that never left took nothing from the budget
