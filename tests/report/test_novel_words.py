import math

import pytest

from polymlops.metrics.collapse_point import CollapsePoint
from polymlops.report.arm_differences import ArmDifference
from polymlops.report.novel_rankings import kendall_tau, rank_changes, ranking
from polymlops.report.novel_words import advice, ordinal, statistics_notes
from polymlops.report.score_collapse import ArmCollapse


def collapse(k, n=20, low=math.nan, high=math.nan):
    return ArmCollapse(CollapsePoint(k, "", 0.01, low, high), 30, n)


def test_the_advice_names_the_candidate_that_adds_nothing():
    assert advice(collapse(8)) == "show 8 candidates: the 9th adds less than 0.01"
    assert advice(collapse(1)) == "show 1 candidate: the 2nd adds less than 0.01"
    assert advice(collapse(8, low=6, high=math.inf)).endswith("(95 % interval of that number: 6 to beyond n = 20)")


def test_a_curve_that_still_rises_gets_no_small_number():
    assert advice(collapse(None)) == "show all 20: the 20th still adds 0.01 or more; sample more"
    assert advice(collapse(None, n=1)).startswith("no advice: with one candidate")
    assert advice(None) == "no advice: nobody judged passes"


@pytest.mark.parametrize(
    ("number", "text"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd"), (113, "113th")]
)
def test_ordinals(number, text):
    assert ordinal(number) == text


def difference(metric, value, claim=False, family=6, saturated=False):
    return ArmDifference(
        arm="b",
        reference="a",
        metric=metric,
        better="higher",
        difference=value,
        low=value - 0.1,
        high=value + 0.1,
        n=30,
        seeds=1,
        p=0.01,
        p_holm=0.01,
        family=family,
        cohens_d=0.1,
        cliffs_delta=0.1,
        minimum_detectable_effect=0.1,
        saturated=saturated,
        claim=claim,
        sentence="",
    )


def test_a_reversal_is_found_and_weighed():
    opposite = [difference("pass_at_5", 0.2, claim=True), difference("usq_reward_at_5", -0.1, claim=True)]
    [change] = rank_changes(opposite, ["reward", "length"], 5)
    assert change.significant
    assert "pass@5 puts b above a, USQ@5 by reward the other way round" in change.sentence
    [change] = rank_changes([opposite[0], difference("usq_reward_at_5", -0.1)], ["reward"], 5)
    assert not change.significant
    assert "only that in pass_at_5" in change.sentence
    assert rank_changes([opposite[0], difference("usq_reward_at_5", 0.1)], ["reward"], 5) == ()
    assert rank_changes([opposite[0], difference("usq_reward_at_5", math.nan)], ["reward"], 5) == ()


def test_rankings_agree_or_not():
    first = ranking("pass_at_5", {"a": 0.1, "b": 0.5, "c": math.nan, "d": 0.3})
    assert first.arms == ("b", "d", "a")
    assert kendall_tau(first, first) == 1
    assert kendall_tau(first, ranking("x", {"a": 3.0, "b": 1.0, "d": 2.0})) == -1
    assert kendall_tau(first, ranking("x", {"a": 3.0, "b": 4.0, "d": 2.0})) == pytest.approx(1 / 3)
    assert math.isnan(kendall_tau(first, ranking("x", {"a": 3.0})))


def test_too_few_flips_for_the_family_and_saturation_are_said():
    class Arm:
        seeds = (1, 2, 3, 4)

    few = statistics_notes([Arm(), Arm()], [difference("pass_at_1", 0.1, family=60)], 400)
    assert few == ["60 tests and 400 sign flips: no corrected p can be below 0.05; draw 1200"]
    assert statistics_notes([Arm(), Arm()], [difference("pass_at_1", 0.0, saturated=True)], 400) == [
        "pass_at_1 is saturated in b and a: it cannot tell these apart"
    ]
    assert statistics_notes([Arm()], [], 400) == ["one arm: there is nothing to compare it with"]
