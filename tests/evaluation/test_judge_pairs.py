"""Two texts, both orders: what the judge prefers, and what the place does to it."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from judge_server import Act, JudgeServer, completion, quick, verdict

from polymlops.evaluation.judge import Pair, judge_pairs


@pytest.fixture
def store(tmp_path):
    return tmp_path / "verdicts.sqlite"


def test_pairs_are_asked_in_both_orders_once_each(store):
    pairs = [Pair(f"p{i}", "Prompt.", "a" * (i + 1), "b" * 5) for i in range(9)]
    with JudgeServer() as server:
        report = judge_pairs(quick(server), pairs, store)
        assert len(server.seen) == report.totals.questions == 18
        assert set(server.asked.values()) == {1}
        winners = ["second"] * 4 + ["tie"] + ["first"] * 4
        assert [verdict.winner for verdict in report.verdicts] == winners
        assert (report.flip_rate, report.wavering_rate, report.tie_rate) == (0, 0, pytest.approx(1 / 9))
        assert report.shown_first_rate == 0.5
        judge_pairs(quick(server), pairs, store)
        assert len(server.seen) == 18


def test_a_judge_that_looks_at_the_place_is_found_out(store):
    def script(number, seen):
        if "flip" in seen.content:
            return Act(body=completion(json.dumps({"reason": "", "winner": "A"})))
        if "half" in seen.content:
            choice = "tie" if seen.blocks["TEXT A"] == "half" else "B"
            return Act(body=completion(json.dumps({"reason": "", "winner": choice})))
        if "lost" in seen.content and seen.blocks["TEXT A"] == "lost":
            return Act(body=completion("?"))
        return Act(body=completion(verdict(seen)))

    pairs = [
        Pair("f", "P", "flip", "x"),
        Pair("h", "P", "half", "x"),
        Pair("l", "P", "lost", "x"),
        Pair("o", "P", "yy", "x"),
    ]
    with JudgeServer(script) as server:
        report = judge_pairs(quick(server, parse_retries=0), pairs, store)
        flip, half, lost, fine = report.verdicts
        assert (flip.winner, flip.preference, flip.flipped) == ("tie", 0.5, True)
        assert (half.winner, half.preference, half.flipped) == ("first", 0.75, False)
        assert (lost.winner, lost.outcome, lost.flipped) == (None, "unscored", None)
        assert "order as given" in lost.reason
        assert fine.winner == "first"
        assert report.scored_pairs == 3
        assert report.flip_rate == report.wavering_rate == report.tie_rate == pytest.approx(1 / 3)
        assert report.shown_first_rate == pytest.approx(3 / 5)  # A, A; B; A and B
        assert Counter(server.asked.values()) == {1: 8}
