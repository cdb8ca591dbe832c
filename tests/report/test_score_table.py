"""The table of scores: values by hand, intervals by enumeration, and what it says about its own limits."""

import math
from itertools import product

import numpy as np
import polars as pl
import pytest

from polymlops.errors import MetricError
from polymlops.evaluation.candidate_groups import candidate_groups
from polymlops.evaluation.candidate_scores import ScoreSettings, score_groups
from polymlops.evaluation.candidates import SCHEMA, Candidates
from polymlops.metrics.collapse_point import bootstrap_collapse_point
from polymlops.metrics.diversity_efficiency import coverage_efficiency, diversity_efficiency_ratio
from polymlops.metrics.pass_at_k import pass_at_k_curve
from polymlops.metrics.user_selection import selection_report
from polymlops.report.score_draws import TableSettings
from polymlops.report.score_metrics import direction
from polymlops.report.score_notes import score_notes
from polymlops.report.score_table import score_table


def candidates(columns, n_P, seeds=(0,), arm="m"):
    """Candidates of prompts p0, p1, ... with n_P of them each; columns hold one value each, seed by seed."""
    n = sum(n_P)
    prompts = [f"p{i}" for i, size in enumerate(n_P) for _ in range(size)] * len(seeds)
    plain = {"arm": arm, "seed": np.repeat(seeds, n), "prompt_id": prompts, "line": range(n * len(seeds)), "file": 0}
    frame = pl.DataFrame(plain | columns)
    lacking = [pl.lit(None, dtype).alias(name) for name, dtype in SCHEMA.items() if name not in frame.columns]
    return Candidates(frame.with_columns(lacking), ())


def table(found, ks=(1, 2, 3), **options):
    groups = candidate_groups(found)
    arms = score_groups(groups, ScoreSettings(ks, pass_hat=True))
    scored = score_table(arms, TableSettings(ks, **{"resamples": 2000, "pass_hat": True} | options))
    return {row.metric: row for row in scored.rows}, scored, score_notes(arms, groups, ())


HAND = {"passed": [True, False, False, True, True, False], "quality": [0.9, 0.1, 0.2, 0.5, 0.7, 0.0]}


def test_values_and_intervals_of_two_prompts_by_hand():
    rows, _, _ = table(candidates(HAND, [3, 3]))
    # Two prompts have four resamples, of which the two extremes take a quarter each: they are the interval's ends.
    found = (rows["pass_at_1"].value, rows["pass_at_1"].low, rows["pass_at_1"].high)
    assert found == pytest.approx((1 / 2, 1 / 3, 2 / 3))
    assert rows["pass_at_2"].value == pytest.approx(5 / 6)
    assert rows["pass_hat_at_2"].value == pytest.approx(1 / 6)
    der = rows["der_at_2"]
    assert (der.value, der.bound_low, der.bound_high) == pytest.approx((5 / 6, 1 / 2, 1))
    assert (der.low, der.high) == pytest.approx((1 / (2 * 2 / 3), (2 / 3) / (2 * 1 / 3)))
    assert rows["coverage_efficiency_at_2"].value == pytest.approx((5 / 6 - 1 / 2) / (1 - 1 / 4 - 1 / 2))
    assert rows["quality"].value == pytest.approx(0.4)
    assert rows["max_at_3"].value == pytest.approx(0.8)
    assert {row.n for row in rows.values()} == {2}


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(3)
    quality_PK = rng.random((12, 6)).round(1)
    return quality_PK, (quality_PK + rng.normal(0, 0.5, quality_PK.shape)).round(1), quality_PK > 0.6


def test_ratios_equal_the_metrics_of_the_library(drawn):
    quality_PK, selector_PK, passed_PK = drawn
    columns = {"passed": passed_PK.ravel(), "quality": quality_PK.ravel(), "selector_s": selector_PK.ravel()}
    rows, _, _ = table(candidates(columns, [6] * 12), ks=(1, 2, 4, 6))
    report = selection_report(quality_PK, selector_PK, (2, 4, 6))
    curve = pass_at_k_curve(6, passed_PK.sum(axis=1), (1, 2, 4, 6))
    for k in (2, 4, 6):
        assert rows[f"usq_s_at_{k}"].value == pytest.approx(report.usq[k])
        assert rows[f"efficiency_s_at_{k}"].value == pytest.approx(report.efficiency[k])
        assert rows[f"regret_s_at_{k}"].value == pytest.approx(report.regret[k])
        assert rows[f"max_at_{k}"].value == pytest.approx(report.oracle[k])
        assert rows[f"der_at_{k}"].value == pytest.approx(diversity_efficiency_ratio(curve)[k])
        assert rows[f"coverage_efficiency_at_{k}"].value == pytest.approx(coverage_efficiency(passed_PK, k))
    assert rows["correlation_s"].value == pytest.approx(report.correlation)


def test_the_interval_of_a_ratio_covers_what_all_resamples_give():
    """Three prompts have 27 equally likely resamples: their quantiles are the interval, up to the draws' own error."""
    passes = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]], dtype=bool)
    rows, _, _ = table(candidates({"passed": passes.ravel()}, [4] * 3), ks=(1, 2), resamples=20_000)
    ratios = []
    for chosen in product(range(3), repeat=3):
        curve = pass_at_k_curve(4, passes[list(chosen)].sum(axis=1), (1, 2))
        ratios.append(curve[2] / (2 * curve[1]))
    expected = np.quantile(np.repeat(ratios, 1000), [0.025, 0.975])
    assert (rows["der_at_2"].low, rows["der_at_2"].high) == pytest.approx(tuple(expected), abs=1e-12)


def test_collapse_point_and_its_interval_are_those_of_the_library(drawn):
    _, _, passed_PK = drawn
    rows, _, _ = table(candidates({"passed": passed_PK.ravel()}, [6] * 12), threshold=0.05, resamples=20_000)
    rng = np.random.default_rng(9)
    reference = bootstrap_collapse_point(6, passed_PK.sum(axis=1), rng, threshold=0.05, resamples=20_000)
    found = rows["collapse_point"]
    assert found.value == (math.inf if reference.k is None else reference.k)
    assert (found.low, found.high) == (reference.low, reference.high)


def test_a_curve_that_still_rises_has_its_collapse_point_beyond_n():
    rows, _, _ = table(candidates({"passed": [True, False, False, False] * 3}, [4] * 3))
    found = rows["collapse_point"]
    assert (found.value, found.low, found.high) == (math.inf,) * 3
    assert found.note == "beyond n: at k = 4 the curve still gains 0.01 or more; 95 % interval: beyond n = 4"


def test_more_candidates_than_a_prompt_has_are_undefined_and_counted():
    rows, _, notes = table(candidates({"passed": [True, False, False, True, True]}, [3, 1, 1]), ks=(1, 3, 5))
    assert (rows["pass_at_3"].value, rows["pass_at_3"].n, rows["pass_at_3"].undefined) == (1.0, 1, 2)
    assert rows["pass_at_3"].note == "2 of 3 prompts not counted: it needs 3 candidates; one prompt: no interval"
    assert math.isnan(rows["pass_at_3"].low)
    # The ratio compares the same prompts: pass@1 of the one that has three.
    assert rows["der_at_3"].value == pytest.approx(1 / (3 * 1 / 3))
    assert (math.isnan(rows["pass_at_5"].value), rows["pass_at_5"].n) == (True, 0)
    assert any("n differs between prompts" in note for note in notes)


def test_undefined_is_said_and_never_0():
    rows, _, notes = table(candidates({"passed": [False] * 6, "selector_s": [1, 2, 3] * 2}, [3, 3]))
    assert math.isnan(rows["der_at_2"].value)
    assert rows["der_at_2"].note == "pass@1 is 0: DER has no value"
    assert math.isnan(rows["der_at_2"].bound_low)
    assert math.isnan(rows["coverage_efficiency_at_2"].value)
    assert math.isnan(rows["efficiency_s_at_2"].value)
    assert "the oracle gains nothing" in rows["efficiency_s_at_2"].note
    said = "\n".join(notes)
    for what in (
        "no column quality",
        "no text: diversity and length are left out",
        "USQ@k is the chance that the pick",
    ):
        assert what in said


def test_a_constant_selector_is_allowed_and_said():
    rows, _, notes = table(candidates(HAND | {"selector_flat": [2.0] * 6}, [3, 3]))
    assert rows["usq_flat_at_3"].value == pytest.approx(0.4)
    assert "arm m: selector flat is constant within every prompt: it picks at random" in notes
    assert rows["correlation_flat"].n == 0


def test_several_seeds_widen_the_interval_and_change_the_note():
    rng = np.random.default_rng(1)
    level = np.repeat([0.1, 0.5, 0.9], 40)  # training runs that differ much
    one, _, alone = table(candidates({"passed": rng.random(120) < level}, [3] * 40))
    three, _, several = table(candidates({"passed": rng.random(120) < level}, [4] * 10, seeds=(1, 2, 3)))
    assert three["pass_at_1"].seeds == 3
    assert three["pass_at_1"].n == 10
    assert three["pass_at_1"].high - three["pass_at_1"].low > 0.4 > one["pass_at_1"].high - one["pass_at_1"].low
    assert any("with one seed" in note for note in alone)
    assert not any("with one seed" in note for note in several)


def test_curves_and_plane_for_the_figures():
    found = candidates(HAND | {"selector_s": [1, 2, 3] * 2, "text": ["a b", "a c", "d e"] * 2}, [3, 3])
    _, scored, _ = table(found, curve_ks=(1, 2, 3))
    assert set(scored.curves) == {"pass_at_k", "usq_s_at_k"}
    assert [curve.quantity for curve in scored.curves["usq_s_at_k"]] == ["USQ@k", "oracle@k"]
    assert sorted(scored.curves["pass_at_k"][0].points) == [1, 2, 3]
    quality, diversity = scored.axes
    assert (quality.label, quality.maximise, diversity.label, diversity.maximise) == (
        "mean quality",
        True,
        "self-BLEU",
        False,
    )
    assert scored.points[0].x.value == pytest.approx(0.4)


def test_directions():
    assert [direction(name) for name in ("pass_at_1", "usq_s_at_5", "vendi", "rarefied_distinct_2_at_9")] == [
        "higher"
    ] * 4
    assert [direction(name) for name in ("self_bleu", "duplicate_share", "regret_s_at_2", "compression_ratio")] == [
        "lower"
    ] * 4
    assert [direction(name) for name in ("der_at_2", "length", "collapse_point")] == [""] * 3


def test_no_arm_is_no_table():
    with pytest.raises(MetricError, match="needs at least one arm"):
        score_table([], TableSettings((1,)))


def test_equal_seeds_of_the_bootstrap_give_equal_tables():
    found = candidates(HAND, [3, 3])
    assert repr(table(found, seed=1)[1].rows) == repr(table(found, seed=1)[1].rows)
