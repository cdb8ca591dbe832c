"""Arms over domains: known gains, brute-force correlations, and everything that must not be mixed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from domain_scores import DOMAINS, SAMPLING, all_scores, scores, spec
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import spearmanr

from polymlops.config.cross_domain import DomainView
from polymlops.errors import ArtifactError, InputError
from polymlops.evaluation.cross_domain import cross_domain
from polymlops.evaluation.cross_domain_draws import DrawnMeans, means_drawn, ratio_of_gains, spearman
from polymlops.evaluation.cross_domain_scores import read_domain_scores
from polymlops.metrics.statistics import two_level_paired_bootstrap


@pytest.fixture(scope="module")
def report():
    return cross_domain(all_scores(seeds=(42, 43)), spec())


def test_the_table_holds_every_mean_with_its_interval(report):
    assert len(report.rows()) == 3 * 3 * 2
    for row in report.rows():
        arms = [item for item in all_scores((42, 43)) if (item.domain, item.arm) == (row["domain"], row["arm"])]
        assert row["value"] == pytest.approx(np.mean([item.values[row["metric"]] for item in arms]))
        assert row["low"] < row["value"] < row["high"]
        assert (row["n"], row["undefined"], row["seeds"]) == (30, 0, len(arms))


def test_gains_are_paired_with_the_base(report):
    gains = {(gain.domain, gain.arm): gain for gain in report.gains if gain.metric == "semantic_diversity"}
    assert gains["social", "polychromic"].difference.value == pytest.approx(0.2)
    assert gains["code_world", "polychromic"].difference.value == pytest.approx(-0.2)
    assert [gain.home for gain in gains.values()] == [domain == "social" for domain, _ in gains]
    assert all(gain.distinguishable and gain.p <= gain.p_holm < 0.05 for gain in gains.values())
    # the spread of prompts is not in a paired difference
    estimate = gains["creative", "polychromic"].difference
    assert estimate.high - estimate.low < 0.02


def test_equal_arms_gain_nothing_to_speak_of(report):
    quality = [gain for gain in report.gains if gain.metric == "quality"]
    assert len(quality) == 6
    assert not any(gain.distinguishable for gain in quality)
    assert {gain.difference.value for gain in quality} == {0.0}


def test_diversity_is_kept_lost_or_was_never_gained(report):
    fates = {(item.arm, item.domain): item for item in report.retentions}
    assert set(fates) == {(arm, domain) for arm in ("baseline", "polychromic") for domain in DOMAINS[1:]}
    kept = fates["polychromic", "creative"]
    assert kept.fate == "kept"
    assert fates["polychromic", "code_world"].fate == "lost"
    assert {fates["baseline", domain].fate for domain in DOMAINS[1:]} == {"no gain"}
    assert math.isnan(fates["baseline", "creative"].share.value)
    means = {item.domain: item.values["semantic_diversity"].mean() for item in all_scores() if item.arm == "zero_shot"}
    assert kept.share.value == pytest.approx((0.1 / means["creative"]) / (0.2 / means["social"]))
    assert kept.share.low < kept.share.value < kept.share.high


def test_arms_rank_alike_where_they_gained_alike_and_not_elsewhere(report):
    rho = {(item.metric, item.first, item.second): item.rho for item in report.correlations}
    assert rho["diversity", "social", "creative"].value == pytest.approx(1.0)
    assert rho["diversity", "social", "code_world"].value == pytest.approx(-0.5)
    assert math.isnan(rho["quality", "social", "creative"].value)  # all tie
    assert {metric for metric, *_ in rho} == {"quality", "diversity"}


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=6))
def test_rank_correlation_is_scipys(pairs):
    first, second = (np.array(values, dtype=float) for values in zip(*pairs, strict=True))
    found = spearman(DrawnMeans(first, first[None, :], 5), DrawnMeans(second, second[None, :], 5)).value
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(spearmanr(first, second).statistic)


def test_joint_draws_give_the_library_s_own_interval():
    rng = np.random.default_rng(0)
    values_SP = rng.normal(size=(3, 40))
    zeros = np.zeros_like(values_SP)
    drawn = means_drawn([values_SP, zeros], np.random.default_rng(1), 4000)
    expected = two_level_paired_bootstrap(values_SP, zeros, np.random.default_rng(2), 4000)
    assert drawn.means_A[0] == pytest.approx(expected.value)
    assert np.quantile(drawn.draws_RA[:, 0], (0.025, 0.975)) == pytest.approx([expected.low, expected.high], abs=0.02)


def test_undefined_prompts_are_left_out_of_all_arms_and_counted():
    holes = scores("creative", "polychromic")
    holes.values["semantic_diversity"][:4] = math.nan
    others = [item for item in all_scores() if (item.domain, item.arm) != ("creative", "polychromic")]
    report = cross_domain([*others, holes], spec())
    [cell] = [
        cell
        for cell in report.cells
        if (cell.domain, cell.arm, cell.metric) == ("creative", "polychromic", "semantic_diversity")
    ]
    assert (cell.undefined, cell.estimate.n) == (4, 26)
    [gain] = [
        gain
        for gain in report.gains
        if (gain.domain, gain.arm, gain.metric) == ("creative", "polychromic", "semantic_diversity")
    ]
    assert gain.difference.n == 26
    nothing = replace(holes, values=holes.values | {"semantic_diversity": np.full(30, math.nan)})
    report = cross_domain([*others, nothing], spec())
    [fate] = [item for item in report.retentions if (item.arm, item.domain) == ("polychromic", "creative")]
    assert (fate.fate, math.isnan(fate.share.value)) == ("not shown", True)


def test_a_ratio_without_a_gain_or_a_base_is_undefined():
    gain, none, zero = (DrawnMeans(np.array(m), np.array([m, m]), 5) for m in ([2.0, 1.0], [1.0, 1.0], [1.0, 0.0]))
    assert ratio_of_gains(gain, gain).value == 1.0
    assert math.isnan(ratio_of_gains(gain, none).value)
    assert math.isnan(ratio_of_gains(zero, gain).value)


def changed(index, **changes):
    items = all_scores()
    items[index] = replace(items[index], **changes)
    return items


HOT = SAMPLING.model_copy(update={"temperature": 1.0})


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (changed(1, sampling=HOT), "temperature is 0.7 and 1.0: sample both alike"),
        (changed(1, n=4), "8 and 4 candidates a prompt"),
        (
            changed(1, prompts=tuple(f"q{i:02d}" for i in range(30))),
            "only one of them answers p00, p01, p02 (60 in all)",
        ),
        (changed(1, prompts=tuple(f"p{i:02d}" for i in reversed(range(30)))), "in different orders"),
        (changed(1, values={"quality": np.zeros(30)}), "only one of them has semantic_diversity"),
        (changed(1, domain="poems"), "the spec has no domain 'poems'"),
        ([*all_scores(), all_scores()[0]], "social: zero_shot/0 comes twice"),
        ([item for item in all_scores() if item.domain != "creative"], "creative has scores of no arm"),
        (changed(0, arm="few_shot"), "not of the base 'zero_shot'"),
    ],
)
def test_what_cannot_be_compared_is_named(items, expected):
    with pytest.raises(InputError) as caught:
        cross_domain(items, spec())
    assert expected in str(caught.value)


def test_a_metric_that_a_domain_lacks_is_named():
    domains = dict.fromkeys(DOMAINS, DomainView(sampling=SAMPLING, diversity="ast_distance"))
    with pytest.raises(InputError, match="social has no metric 'ast_distance' for its diversity: name one of quality"):
        cross_domain(all_scores(), spec(domains=domains))


def test_seeds_that_cannot_be_paired_are_refused():
    items = [item for item in all_scores((42, 43)) if item.arm != "zero_shot"]
    items += [replace(scores(domain, "zero_shot"), seed=seed) for domain in DOMAINS for seed in (1, 2)]
    with pytest.raises(InputError, match="baseline has the seeds"):
        cross_domain(items, spec())


def test_domains_that_were_decoded_otherwise_come_with_a_note():
    assert cross_domain(all_scores(), spec()).notes == ()
    items = [replace(item, sampling=HOT) if item.domain == "code_world" else item for item in all_scores()]
    [note] = cross_domain(items, spec()).notes
    assert note == "social and code_world were decoded with temperature 0.7 and 1.0: compare gains, not values"


def test_an_arm_may_be_missing_in_a_domain():
    items = [item for item in all_scores() if (item.domain, item.arm) != ("code_world", "baseline")]
    report = cross_domain(items, spec())
    assert {cell.domain for cell in report.cells if cell.arm == "baseline"} == {"social", "creative"}
    [pair] = [i for i in report.correlations if (i.metric, i.second, i.first) == ("diversity", "code_world", "social")]
    assert pair.arms == ("zero_shot", "polychromic")
    assert math.isnan(pair.rho.value)


def test_the_spec_refuses_what_has_no_meaning():
    for changes in ({"home": "poems"}, {"base": "baseline"}, {"trained": ()}):
        with pytest.raises(ValidationError):
            spec(**changes)


def test_scores_are_read_as_their_stage_wrote_them(tmp_path):
    rows = [("baseline", 42, f"p{i}", j, i == 0, float(i), True) for i in range(2) for j in range(3)]
    names = ["arm", "seed", "prompt_id", "sample_id", "passed", "quality", "well_formed"]
    frame = pl.DataFrame(rows, names, orient="row")
    unscored = pl.col("prompt_id") == "p1", pl.col("sample_id") == 0
    frame = frame.with_columns(
        pl.when(unscored[0] & unscored[1]).then(None).otherwise(pl.col(name)).alias(name)
        for name in ("passed", "quality")
    )
    frame.write_parquet(tmp_path / "scores.parquet")
    with pytest.raises(ArtifactError, match=r"diversity\.parquet"):
        read_domain_scores("social", SAMPLING, tmp_path, (1,))
    diversity = pl.DataFrame({"prompt_id": ["p1", "p0"], "vendi": [None, 2.0], "note": ["", ""]})
    diversity.write_parquet(tmp_path / "diversity.parquet")
    found = read_domain_scores("social", SAMPLING, tmp_path, (1, 3))
    assert (found.arm, found.seed, found.n, found.prompts) == ("baseline", 42, 3, ("p0", "p1"))
    np.testing.assert_equal(found.values["vendi"], [2.0, np.nan])
    np.testing.assert_equal(found.values["pass_at_1"], [1.0, 0.0])
    np.testing.assert_equal(found.values["pass_at_3"], [1.0, np.nan])
    assert found.values["quality"].tolist() == [0.0, 1.0]
    diversity.head(1).write_parquet(tmp_path / "diversity.parquet")
    with pytest.raises(ArtifactError, match="different prompts"):
        read_domain_scores("social", SAMPLING, tmp_path, (1,))
