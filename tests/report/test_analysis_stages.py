"""The analysis stages: what they write, that it agrees with the library, and what they refuse."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from analysis_parts import CANDIDATES, LABELS, make_folders

from polymlops.analysis.lora_parameters import analyze_adapter
from polymlops.analysis.mechanistic import measure_depth
from polymlops.config.analysis import AblationConfig, AdapterAnalysisSpec, MechanismSpec, TheorySpec
from polymlops.config.sampling import SamplingConfig
from polymlops.errors import ArtifactError, InputError
from polymlops.models.loading import load_tokenizer, load_with_adapter
from polymlops.records import Job
from polymlops.report.adapter_analysis import analyse_adapters
from polymlops.report.analysis_files import paired_labels
from polymlops.report.mechanism import analyse_mechanism, read_groups, read_passages
from polymlops.report.scores import read_scores
from polymlops.report.theory import best_of_n_kl, check_theory

ADAPTERS = AdapterAnalysisSpec(
    ablation=AblationConfig(prompts=3, samples=3, blocks=4), sampling=SamplingConfig(max_new_tokens=12)
)
MECHANISM = MechanismSpec(prompts=6, candidates=5)
THEORY = TheorySpec(ks=(1, 2, 4, 8), resamples=50)


@pytest.fixture(scope="module")
def folders(small_base, small_dataset, tmp_path_factory):
    return make_folders(small_base, small_dataset, tmp_path_factory.mktemp("analysis"))


def partial_adapters(folders, job):
    few = {label: folders.adapters[label] for label in ("baseline/1", "polychromic/1")}
    return analyse_adapters(ADAPTERS, replace(folders, adapters=few), job)


def partial_mechanism(folders, job):
    return analyse_mechanism(MECHANISM, folders, job)


def partial_theory(folders, job):
    return check_theory(THEORY, folders.scores, folders.adapters, job)


@pytest.fixture(scope="module")
def results(folders, tmp_path_factory):
    """Each stage's output folder and metrics, made once."""
    found = {}
    for stage in (partial_adapters, partial_mechanism, partial_theory):
        folder = tmp_path_factory.mktemp(stage.__name__)
        found[stage] = (folder, stage(folders, Job(folder, folder, lambda metrics, step: None)))
    return found


def files(folder):
    return {path.name for path in folder.iterdir()}


def test_adapters_are_described_weight_by_weight(folders, results):
    output, metrics = results[partial_adapters]
    table = pl.read_parquet(output / "lora_parameters.parquet")
    for label in LABELS[:2]:
        arm, seed = label.split("/")
        mine = table.filter((pl.col("arm") == arm) & (pl.col("seed") == int(seed)))
        analysis = analyze_adapter(folders.adapters[label], folders.base)
        assert mine["relative_norm"].to_list() == [module.relative_norm for module in analysis.modules]
        assert metrics[f"lora/{label}/norm"] == pytest.approx(math.hypot(*mine["norm_delta"]))
    compared = pl.read_csv(output / "lora_comparisons.csv")
    assert set(compared.select("a", "b", "seed").iter_rows()) == {("baseline", "polychromic", 1)}
    advice = json.loads((output / "rank_advice.json").read_text())
    assert advice["baseline/1"]["trained"] == 2
    assert math.fsum(advice["baseline/1"]["energy_by_layer"].values()) == pytest.approx(1)
    assert {"lora_parameter_analysis.pdf", "lora_parameter_analysis.png"} <= files(output)


def test_ablation_covers_every_block_and_score_of_every_arm(results):
    """Four blocks are asked of two layers: each layer is one."""
    output, metrics = results[partial_adapters]
    table = pl.read_parquet(output / "layer_ablation.parquet")
    assert set(table["block"]) == {"0", "1", "all"}
    assert set(table["score"]) == {"semantic_diversity", "true_intents", "quality"}
    assert len(table) == 2 * 3 * 3
    row = table.filter((pl.col("arm") == "baseline") & (pl.col("block") == "1") & (pl.col("score") == "quality"))
    assert metrics["lora/baseline/1/without_1/quality"] == row["change"][0]
    assert {"layer_ablation_baseline.pdf", "layer_ablation_polychromic.pdf"} <= files(output)
    assert set(json.loads((output / "ablation_findings.json").read_text())) == set(LABELS[:2])


@pytest.mark.parametrize("stage", [partial_mechanism, partial_theory])
def test_stages_write_the_same_bytes_again(folders, results, make_job, stage):
    """The ablation's samples are covered by the tests of its library; the others by this."""
    (folder, metrics), again = results[stage], make_job()
    assert stage(folders, again) == pytest.approx(metrics, nan_ok=True)
    assert files(again.output) == files(folder)
    for path in folder.iterdir():
        assert path.read_bytes() == (again.output / path.name).read_bytes(), path.name


def test_without_the_truth_only_semantic_diversity_is_scored(folders, make_job, tmp_path):
    dataset = tmp_path / "data"
    dataset.mkdir()
    (dataset / "validation.parquet").symlink_to(folders.dataset / "validation.parquet")
    few = replace(folders, dataset=dataset, adapters={"baseline/1": folders.adapters["baseline/1"]})
    job = make_job()
    analyse_adapters(ADAPTERS, few, job)
    assert set(pl.read_parquet(job.output / "layer_ablation.parquet")["score"]) == {"semantic_diversity"}


def test_mechanism_agrees_with_the_library(folders, results):
    output, metrics = results[partial_mechanism]
    passages = read_passages(folders.base, folders.dataset, MECHANISM.prompts, MECHANISM.seed)
    a, b = (load_with_adapter(folders.base, folders.adapters[label]) for label in LABELS[:2])
    kl_L = measure_depth(a, b, passages).kl_PL.mean(axis=0)
    table = pl.read_parquet(output / "depth.parquet").filter(pl.col("b") == "polychromic").sort("layer")
    assert table["kl"].to_list() == pytest.approx(kl_L.tolist())
    assert metrics["mechanism/polychromic_minus_baseline/kl_layer_2"] == pytest.approx(kl_L[-1])
    attention = pl.read_parquet(output / "attention.parquet")
    assert len(attention) == 2 * 3 * 2 * 2
    states = pl.read_parquet(output / "hidden_states.parquet")
    assert set(states["arm"]) == {"baseline", "polychromic"}
    assert set(states["prompts"] + states["undefined"]) == {6}
    findings = json.loads((output / "mechanism_findings.json").read_text())
    assert {name: len(found) for name, found in findings.items()} == {"attention": 6, "depth": 2, "hidden_states": 2}
    assert {"attention_heads.pdf", "depth_divergence.pdf", "hidden_state_clusters.pdf"} <= files(output)
    assert "gradient_norms.pdf" not in files(output)


def test_recorded_gradients_are_drawn(folders, make_job, tmp_path):
    rows = [
        {"step": step, "layer": layer, "cross_entropy": 1.0 / step, "total": 1.0 / step}
        for step in (1, 2)
        for layer in ("0", "1", "all")
    ]
    copy = tmp_path / "adapter"
    copy.mkdir()
    for path in folders.adapters["baseline/1"].iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "gradient_norms.json").write_text(json.dumps(rows))
    job = make_job()
    analyse_mechanism(MECHANISM, replace(folders, adapters={"baseline/1": copy}, samples={}, scores={}), job)
    table = pl.read_parquet(job.output / "gradients.parquet")
    assert table.select("arm", "step", "layer", "cross_entropy").row(0) == ("baseline", 1, "0", 1.0)
    # One arm alone has nobody to be compared with, and no candidates were given.
    drawn = {"gradients.csv", "gradients.parquet", "gradient_norms.pdf", "gradient_norms.png"}
    assert files(job.output) == drawn | {"mechanism_findings.json"}


def test_passages_and_groups_are_those_of_the_dataset(folders):
    tokenizer = load_tokenizer(folders.base)
    passage = read_passages(folders.base, folders.dataset, 1, 0)[0]
    rows = pl.read_parquet(folders.dataset / "test.parquet").filter(pl.col("post_id") == passage.prompt_id)
    best = rows.filter(pl.col("likes") == rows["likes"].max())["reply"].to_list()
    assert tokenizer.decode(passage.tokens[passage.start + 1 : -1]) in best
    assert passage.tokens[-1] == tokenizer.eos_token_id
    label = "baseline/1"
    groups = read_groups(folders.base, folders.samples[label], folders.scores[label], (2, 4))
    assert [len(group.replies) for group in groups] == [4, 4]
    scores = pl.read_parquet(folders.scores[label] / "scores.parquet").sort("prompt_id", "sample_id")
    expected = scores.filter(pl.col("prompt_id") == groups[0].prompt_id)["intent"].fill_null("")[:4]
    assert groups[0].intents == tuple(expected)


def test_candidates_without_scores_are_refused(folders, make_job, tmp_path):
    scores = pl.read_parquet(folders.scores["baseline/1"] / "scores.parquet")
    scores.filter(pl.col("sample_id") > 0).write_parquet(tmp_path / "scores.parquet")
    with pytest.raises(ArtifactError, match="score the sample set again"):
        read_groups(folders.base, folders.samples["baseline/1"], tmp_path, (2, 4))
    with pytest.raises(ArtifactError, match="score it first"):
        analyse_mechanism(MECHANISM, replace(folders, scores={}), make_job())


def test_theory_is_written_for_every_arm(results):
    output, metrics = results[partial_theory]
    written = json.loads((output / "theory.json").read_text())
    theories = {row["theory"] for row in written["predictions"]}
    assert theories == {
        "pass@k, beta-binomial",
        "USQ gain, normal",
        "best-of-n KL",
        "DER bounds",
        "reward by entropy",
    }
    beyond = [row for row in written["predictions"] if row["theory"].startswith("pass@k") and row["at"] == 8]
    assert [row["holds"] for row in beyond] == [None, None]  # six candidates
    assert "fewer than k" in beyond[0]["reason"]
    # The log was made by the law, with a = .3.
    assert metrics["theory/baseline_grpo/1/entropy_law_a"] == pytest.approx(0.3)
    assert set(written["entropy_laws"]) == {"baseline_grpo/1"}
    assert metrics["theory/DER_bounds/holds_share"] == 1
    assert {"theory.csv", "theory.parquet", "theory.pdf", "theory.png"} <= files(output)
    judged = [row for row in written["predictions"] if row["holds"] is False]
    assert len(written["failures"]) == len(judged)


def test_best_of_n_is_exact_for_what_was_stored(folders):
    """Enumerated: the best of every pair of the six candidates, drawn with replacement."""
    scores = read_scores("baseline/1", folders.scores["baseline/1"])
    found = best_of_n_kl(scores, [2], np.random.default_rng(0))[0]
    exact = []
    for quality_K in scores.quality_PK:
        best = np.maximum(quality_K[:, None], quality_K[None]).ravel()
        values = np.unique(quality_K)
        q = np.array([(best == value).mean() for value in values])
        p = np.array([(quality_K == value).mean() for value in values])
        exact.append((q * np.log(q / p)).sum())
    assert found.measured == pytest.approx(np.mean(exact))
    assert found.residual.n == len(scores.prompts)
    assert scores.n == CANDIDATES


def test_pairs_are_of_one_seed_and_runs_against_their_start():
    labels = ["baseline/1", "baseline/2", "polychromic/2", "baseline_grpo/1", "polychromic_grpo/3"]
    assert paired_labels(labels) == {
        ("baseline", "polychromic"): [("baseline/2", "polychromic/2")],
        ("baseline", "baseline_grpo"): [("baseline/1", "baseline_grpo/1")],
    }


@pytest.mark.parametrize("label", ["baseline", "/1", "baseline/x"])
def test_a_label_without_arm_and_seed_is_refused(folders, make_job, label):
    few = replace(folders, adapters={label: folders.adapters["baseline/1"]})
    for stage, spec in ((analyse_adapters, ADAPTERS), (analyse_mechanism, MECHANISM)):
        with pytest.raises(InputError, match="arm/seed"):
            stage(spec, few, make_job())


def test_nothing_to_analyse_is_refused(folders, make_job):
    nothing = replace(folders, adapters={})
    for stage, spec in ((analyse_adapters, ADAPTERS), (analyse_mechanism, MECHANISM)):
        with pytest.raises(InputError, match="no adapter"):
            stage(spec, nothing, make_job())
    with pytest.raises(InputError, match="no scores"):
        check_theory(THEORY, {}, {}, make_job())
    with pytest.raises(ArtifactError, match=r"history\.json"):
        check_theory(THEORY, folders.scores, {"baseline/1": folders.scores["baseline/1"]}, make_job())
