"""Paired comparisons of arms: numbers, refusals that name what differs, sentences that claim no more than that."""

import numpy as np
import pytest

from polymlops.errors import InputError, MetricError
from polymlops.evaluation.candidate_scores import ArmValues
from polymlops.metrics.statistics import cliffs_delta, holm, paired_bootstrap, sign_flip_test
from polymlops.report.arm_differences import arm_differences, check_same_prompts, difference_notes, shared_metrics

PROMPTS = tuple(f"p{i:02}" for i in range(30))


def arm(name, values_SP, seeds=None, prompts=PROMPTS, n=4, **other):
    columns = {metric: np.atleast_2d(np.asarray(values, dtype=float)) for metric, values in values_SP.items()}
    seeds = seeds or tuple(range(len(next(iter(columns.values())))))
    n_SP = np.full((len(seeds), len(prompts)), n) if np.ndim(n) == 0 else np.atleast_2d(n)
    details = {"passes_SP": None, "judged_by": "quality", "selectors": (), "diversity": ()} | other
    return ArmValues(name, seeds, prompts, n_SP, values_SP=columns, **details)


def compared(arms, reference="b", metrics=("quality",), resamples=4000):
    return arm_differences(arms, reference, metrics, np.random.default_rng(0), resamples)


@pytest.fixture(scope="module")
def values():
    rng = np.random.default_rng(1)
    base = rng.random(30)
    return {"b": base, "better": base + 0.2 + rng.normal(0, 0.05, 30), "same": base + rng.normal(0, 0.05, 30)}


def test_numbers_are_those_of_the_statistics(values):
    (found,) = compared([arm("b", {"quality": values["b"]}), arm("a", {"quality": values["better"]})])
    reference = paired_bootstrap(values["better"], values["b"], np.random.default_rng(5), 20_000)
    assert found.difference == pytest.approx((values["better"] - values["b"]).mean())
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=0.004)
    assert found.cliffs_delta == pytest.approx(cliffs_delta(values["better"], values["b"]))
    assert found.p == pytest.approx(
        sign_flip_test(values["better"], values["b"], np.random.default_rng(2)).p, abs=0.001
    )
    assert (found.n, found.seeds, found.family, found.better) == (30, 1, 1, "higher")
    assert found.claim
    assert found.sentence.startswith("a is better than b on quality: +0.199, 95 % interval +0.18")
    assert found.sentence.endswith("over 1 test; for these training runs, not for new ones.")


def test_holm_runs_over_all_pairs_and_metrics(values):
    arms = [
        arm(name, {"quality": column, "self_bleu": column**2}, diversity=("self_bleu",))
        for name, column in values.items()
    ]
    found = compared(arms, metrics=("quality", "self_bleu"))
    assert [(item.arm, item.metric) for item in found] == [
        *(("better", "quality"), ("better", "self_bleu")),
        *(("same", "quality"), ("same", "self_bleu")),
    ]
    assert [item.p_holm for item in found] == pytest.approx(holm([item.p for item in found]).tolist())
    assert {item.family for item in found} == {4}
    assert found[1].sentence.startswith("better is worse than b on self_bleu")


def test_no_claim_without_an_interval_that_excludes_0(values):
    (found,) = compared([arm("b", {"quality": values["b"]}), arm("a", {"quality": values["same"]})])
    assert not found.claim
    assert found.sentence.startswith("a and b on quality are not distinguishable: ")
    assert f"a difference of {found.minimum_detectable_effect:.3f} would be seen with 80 % power." in found.sentence


def test_equal_arms_and_lone_prompts_have_sentences_of_their_own(values):
    (found,) = compared([arm("b", {"quality": values["b"]}), arm("a", {"quality": values["b"]})])
    assert found.sentence == "a and b on quality are equal on 30 prompts, each by itself."
    lone = [arm(name, {"quality": [value]}, prompts=("p",)) for name, value in (("b", 0.0), ("a", 1.0))]
    (found,) = compared(lone)
    assert found.sentence == "a and b on quality: +1.000 on one prompt; nothing can be said about others."
    undefined = [arm(name, {"quality": [np.nan]}, prompts=("p",)) for name in ("b", "a")]
    (found,) = compared(undefined)
    assert found.sentence == "a and b on quality: no prompt is defined in both; nothing can be said."
    assert np.isnan(found.p_holm)
    assert found.family == 0


def test_saturated_arms_are_said_to_be(values):
    full = np.ones(30)
    near = full.copy()
    near[:1] = 0.9
    (found,) = compared([arm("b", {"pass_at_4": full}), arm("a", {"pass_at_4": near})], metrics=("pass_at_4",))
    assert found.sentence.endswith("both are saturated, so this metric cannot tell them apart.")


def test_several_seeds_make_a_claim_about_training(values):
    rng = np.random.default_rng(2)
    tables = {name: values[name] + rng.normal(0, 0.02, (3, 30)) for name in ("b", "better")}
    (found,) = compared([arm(name, {"quality": table}) for name, table in tables.items()])
    assert (found.seeds, found.claim) == (3, True)
    assert "over 30 prompts and 3 seeds" in found.sentence
    assert "training runs" not in found.sentence
    assert difference_notes([arm("b", {"pass_at_1": tables["b"], "quality": tables["b"]})]) == ()


def test_one_seed_says_what_cannot_be_claimed(values):
    notes = difference_notes([arm("b", {"quality": values["b"]}), arm("a", {"quality": values["b"]}, selectors=("s",))])
    assert notes[0].startswith("one seed of b, a: no claim about the training method")
    assert notes[1:] == (
        "left out, because not every arm has it: s",
        "not every arm has the column passed: pass_at_k is not compared",
    )


def test_seeds_that_do_not_pair_are_refused(values):
    with pytest.raises(MetricError, match="train both alike"):
        compared(
            [arm(name, {"quality": [values["b"]] * 2}, seeds=seeds) for name, seeds in (("b", (1, 2)), ("a", (1, 3)))]
        )


def test_prompts_that_differ_are_refused_by_name_and_number():
    ours = arm("a", {"quality": np.zeros(9)}, prompts=tuple(f"p{i}" for i in range(9)))
    theirs = arm("b", {"quality": np.zeros(2)}, prompts=("p0", "q"))
    with pytest.raises(InputError) as caught:
        check_same_prompts([ours, theirs])
    assert str(caught.value).splitlines() == [
        "arms b and a cannot be compared: 1 prompt only in b: q; give both the same",
        "arms b and a cannot be compared: 8 prompts only in a: p1, p2, p3, p4, p5 and 3 more; give both the same",
    ]


def test_numbers_of_candidates_that_differ_are_refused():
    pair = [arm(name, {"quality": np.zeros(2)}, prompts=("p", "q"), n=[4, n]) for name, n in (("a", 4), ("b", 3))]
    with pytest.raises(
        InputError, match=r"b and a .*: 1 prompt with other numbers of candidates: q \(3 and 4\); draw as many"
    ):
        check_same_prompts(pair)
    seeds = arm("c", {"quality": np.zeros((2, 2))}, prompts=("p", "q"), n=[[4, 4], [4, 2]])
    with pytest.raises(InputError, match="arm c: 1 prompt with another number of candidates in another seed: q"):
        check_same_prompts([seeds])
    check_same_prompts([arm(name, {"quality": np.zeros(2)}, prompts=("p", "q"), n=[4, 3]) for name in "ab"])


def test_shared_metrics_are_those_that_all_arms_have():
    columns = {"pass_at_1": [0.0], "pass_at_2": [0.0], "quality": [0.0], "usq_s_at_2": [0.0], "vendi": [0.0]}
    ours = arm("a", columns, prompts=("p",), selectors=("s",), diversity=("vendi",))
    assert shared_metrics([ours, ours], (1, 2)) == ("pass_at_1", "pass_at_2", "quality", "usq_s_at_2", "vendi")
    by_passes = arm("b", columns, prompts=("p",), selectors=("s",), judged_by="passed")
    assert shared_metrics([ours, by_passes], (2,)) == ("pass_at_2", "quality", "vendi")
    assert "USQ of some arms is of quality, of others of passes: it is not compared" in difference_notes(
        [ours, by_passes]
    )
