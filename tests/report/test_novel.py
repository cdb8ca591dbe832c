import csv
import json
import math

import numpy as np
import polars as pl
import pytest
from novel_inputs import write_arm, write_arms

from polymlops.config.novel import NovelSpec
from polymlops.errors import ArtifactError, InputError, MetricError
from polymlops.evaluation.selector_people import noisy_human_usq
from polymlops.metrics.pass_at_k import max_at_k, pass_at_k
from polymlops.metrics.user_selection import usq_at_k
from polymlops.report.novel import DRAWN, write_novel_metrics

CHANCES = {"few_shot/0": 0.3, "baseline/42": 0.45, "baseline/123": 0.45, "polychromic/42": 0.6, "polychromic/123": 0.6}
ARMS = ("few_shot", "baseline", "polychromic")
SPEC = NovelSpec(arms=ARMS, ks=(1, 5, 10), resamples=2000, seed=3)
SELECTORS = {
    *("reward", "heuristic", "length", "logprob", "random", "diversity_first", "noisy_human", "position_biased"),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    from polymlops.records import Job

    folder = tmp_path_factory.mktemp("novel")
    scores, samples = write_arms(folder, CHANCES)
    output = folder / "report"
    output.mkdir()
    metrics = write_novel_metrics(SPEC, scores, samples, Job(output, output, lambda metrics, step: None))
    return output, metrics, scores


def read(folder, name):
    return json.loads((folder / name).read_text())


def quality_of(scores, arm, column="quality"):
    frames = [pl.read_parquet(folder / "scores.parquet") for label, folder in scores.items() if arm in label]
    return [frame.sort("prompt_id", "sample_id")[column].to_numpy().reshape(30, 12) for frame in frames]


def test_every_selector_has_its_metrics_for_every_arm(results):
    _, metrics, _ = results
    for arm in ARMS:
        names = {name.removeprefix(f"social/{arm}/") for name in metrics if name.startswith(f"social/{arm}/")}
        for selector in SELECTORS:
            stems = ("usq", "selection_gain", "efficiency", "regret")
            assert {f"{stem}_{selector}_at_10" for stem in stems} <= names
        assert {"pass_at_10", "der_at_10", "coverage_efficiency_at_10", "oracle_gain_at_10", "max_at_10"} <= names
        assert {"collapse_point", "collapse_point_beyond_n", "usq_reward_at_10_low", "usq_reward_at_10_high"} <= names
        assert "correlation_reward" in names
        assert "correlation_noisy_human" not in names


def test_values_equal_those_of_the_estimators(results):
    _, metrics, scores = results
    quality, reward = (quality_of(scores, "baseline", name) for name in ("quality", "selector_reward"))
    expected = np.mean([usq_at_k(q, s, 10) for q, s in zip(quality, reward, strict=True)])
    assert metrics["social/baseline/usq_reward_at_10"] == pytest.approx(expected)
    noisy = np.mean([noisy_human_usq(q, 5, 0.1) for q in quality])
    assert metrics["social/baseline/usq_noisy_human_at_5"] == pytest.approx(noisy)
    assert metrics["social/baseline/usq_random_at_10"] == pytest.approx(np.mean(quality))
    oracle = np.mean([max_at_k(q, 10) for q in quality])
    assert metrics["social/baseline/oracle_gain_at_10"] == pytest.approx(oracle - np.mean(quality))
    gain = metrics["social/baseline/selection_gain_reward_at_10"]
    assert gain == pytest.approx(expected - np.mean(quality))
    assert metrics["social/baseline/efficiency_reward_at_10"] == pytest.approx(gain / (oracle - np.mean(quality)))
    assert metrics["social/baseline/regret_reward_at_10"] == pytest.approx(oracle - expected)
    passes = [np.mean([pass_at_k(12, (q > 0.6).sum(axis=1), k) for q in quality]) for k in (1, 10)]
    assert metrics["social/baseline/der_at_10"] == pytest.approx(passes[1] / (10 * passes[0]))


def test_each_seed_has_its_rows_beside_the_pooled_ones(results):
    folder, metrics, scores = results
    rows = read(folder, "novel_metrics.json")
    usq = {(r["arm"], r["seed"]): r for r in rows if r["metric"] == "usq_reward_at_10"}
    assert set(usq) == {("few_shot", None), *((a, s) for a in ARMS[1:] for s in (None, 42, 123))}
    seeds = [usq["baseline", seed]["value"] for seed in (42, 123)]
    assert usq["baseline", None]["value"] == pytest.approx(np.mean(seeds))
    assert usq["baseline", None]["iqm"] == pytest.approx(np.mean(seeds))
    quality, reward = (quality_of(scores, "baseline/42", name)[0] for name in ("quality", "selector_reward"))
    assert usq["baseline", 42]["value"] == pytest.approx(usq_at_k(quality, reward, 10).mean())
    bounds = next(r for r in rows if r["metric"] == "der_at_10" and r["arm"] == "baseline" and r["seed"] is None)
    assert bounds["bound_low"] == pytest.approx(0.1)
    assert bounds["bound_low"] <= bounds["value"] <= bounds["bound_high"]
    with (folder / "novel_metrics.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(rows)
    assert len(metrics) > 3 * len(SELECTORS)


def test_all_pairs_are_compared_and_corrected_together(results):
    folder, _, _ = results
    compared = read(folder, "novel_comparisons.json")
    pairs = {(row["arm"], row["reference"]) for row in compared}
    assert pairs == {("baseline", "few_shot"), ("polychromic", "few_shot"), ("polychromic", "baseline")}
    # The diversity of this test is constant: equal everywhere, and one test with p = 1.
    assert {row["family"] for row in compared} == {len(compared)}
    assert "usq_random_at_10" not in {row["metric"] for row in compared}
    clear = next(r for r in compared if r["arm"] == "polychromic" and r["metric"] == "quality")
    assert clear["claim"]
    assert clear["p"] <= clear["p_holm"] <= 0.05
    equal = next(r for r in compared if r["metric"] == "semantic_diversity")
    assert not equal["claim"]


def test_findings_say_how_many_to_show_and_what_may_be_claimed(results):
    folder, _, _ = results
    found = read(folder, "novel_findings.json")["social"]
    assert set(found["advice"]) == set(ARMS)
    assert found["advice"]["polychromic"].startswith("show ")
    assert all("better" in text or "worse" in text or "higher" in text for text in found["claims"])
    assert any("not distinguishable" in text or "are equal" in text for text in found["undecided"])
    assert found["rankings"][0]["metric"] == "pass_at_10"
    assert any("fewer than 4 seeds" in note for note in found["notes"])
    assert any("one seed of few_shot" in note for note in found["notes"])


def test_figures_and_latex_are_there(results):
    folder, _, _ = results
    drawn = {name for name in SELECTORS if f"usq_{name}_at_k" in DRAWN}
    for selector in drawn:
        assert (folder / f"social_usq_{selector}_at_k.png").stat().st_size > 1000
    assert drawn < set(SELECTORS)
    assert {path.name for path in folder.glob("social_usq_*_at_k.png")} == {
        f"social_usq_{name}_at_k.png" for name in drawn
    }
    assert (folder / "social_pass_at_k.pdf").is_file()
    table = (folder / "social_usq.tex").read_text()
    assert r"\toprule" in table
    assert r"few\_shot" in table
    assert "polychromic - baseline" in (folder / "social_comparisons.tex").read_text()


def test_two_domains_stay_apart(tmp_path, make_job):
    social = write_arms(tmp_path / "a", {"baseline/1": 0.5})
    code = write_arms(tmp_path / "b", {"baseline/1": 0.2}, domain="code_mbpp", n=6)
    frame = pl.read_parquet(code[0]["baseline/1"] / "scores.parquet")
    passes_only = frame.drop("selector_reward").with_columns(pl.lit(None, pl.Float64).alias("quality"))
    passes_only.write_parquet(code[0]["baseline/1"] / "scores.parquet")
    scores = {"social/baseline/1": social[0]["baseline/1"], "code_mbpp/baseline/1": code[0]["baseline/1"]}
    samples = {"social/baseline/1": social[1]["baseline/1"], "code_mbpp/baseline/1": code[1]["baseline/1"]}
    job = make_job()
    metrics = write_novel_metrics(SPEC.model_copy(update={"resamples": 200}), scores, samples, job)
    found = read(job.output, "novel_findings.json")
    assert set(found) == {"social", "code_mbpp"}
    assert math.isnan(metrics["code_mbpp/baseline/pass_at_10"])
    assert metrics["code_mbpp/baseline/usq_noisy_human_at_5"] >= metrics["code_mbpp/baseline/pass_at_1"]
    assert "code_mbpp/baseline/quality" not in metrics
    notes = found["code_mbpp"]["notes"]
    assert any("@10 is undefined: code_mbpp has 6 candidates" in note for note in notes)
    assert any("few_shot has no scores in code_mbpp" in note for note in notes)
    assert any("one arm" in note for note in notes)
    assert metrics["social/baseline/usq_reward_at_10"] > metrics["social/baseline/quality"]


def test_without_samples_selectors_of_text_are_missing(tmp_path, make_job):
    scores, _ = write_arms(tmp_path, {"baseline/1": 0.5, "polychromic/1": 0.5}, reward=False)
    metrics = write_novel_metrics(SPEC.model_copy(update={"resamples": 200}), scores, {}, make_job())
    assert "social/baseline/usq_noisy_human_at_10" in metrics
    assert not [name for name in metrics if "heuristic" in name or "diversity_first" in name or "reward" in name]


def test_bad_input_is_refused_by_name(tmp_path, make_job):
    scores, samples = write_arms(tmp_path, {"baseline/1": 0.5})
    with pytest.raises(MetricError, match="no scores of few_shot"):
        write_novel_metrics(SPEC, {}, {}, make_job("a"))
    with pytest.raises(ArtifactError, match="are of baseline/1"):
        write_novel_metrics(SPEC, {"polychromic/1": scores["baseline/1"]}, {}, make_job("b"))
    other = write_arm(tmp_path, "polychromic/1", 0.5, prompts=29)
    both = scores | {"polychromic/1": other[0]}
    with pytest.raises(InputError, match="1 prompt only in baseline: p029"):
        write_novel_metrics(SPEC, both, samples, make_job("c"))
    spec = SPEC.model_copy(update={"decodings": {"baseline/1": "T 0.7", "polychromic/1": "T 1"}})
    with pytest.raises(InputError, match=r"sampled differently, T 1 and T 0\.7"):
        write_novel_metrics(spec, both, samples, make_job("d"))
    shorter = write_arm(tmp_path / "short", "baseline/1", 0.5, n=10)
    with pytest.raises(ArtifactError, match="60 scored candidates not in the sample set"):
        write_novel_metrics(SPEC, scores, {"baseline/1": shorter[1]}, make_job("e"))
    (scores["baseline/1"] / "diversity.parquet").unlink()
    with pytest.raises(ArtifactError, match=r"lacks diversity\.parquet"):
        write_novel_metrics(SPEC, scores, samples, make_job("f"))


def test_the_spec_ranks_at_a_k_that_it_has():
    with pytest.raises(ValueError, match="shown 10 is none of the ks"):
        NovelSpec(arms=("baseline",), ks=(1, 5))
