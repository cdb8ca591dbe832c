import csv
import json
import math

import numpy as np
import polars as pl
import pytest

from polymlops.config.slices import ReportSpec
from polymlops.errors import ArtifactError, MetricError
from polymlops.records import Job
from polymlops.report.core import write_core_results

ARMS = ("zero_shot", "few_shot", "baseline", "polychromic")
PROMPTS, N = 30, 12
SPEC = ReportSpec(arms=ARMS, ks=(1, 5, 10), resamples=400, seed=3)


def write_scores(folder, label, chance=0.3, prompts=PROMPTS, n=N, changes=None):
    """Scores whose pass chance differs between prompts the same way in every arm."""
    arm, seed = label.split("/")
    rng = np.random.default_rng([len(arm), int(seed)])
    easy_P = np.random.default_rng(9).normal(0, 0.1, prompts)
    rows = [
        {
            "arm": arm,
            "seed": int(seed),
            "domain": "social",
            "prompt_id": f"p{p:03d}",
            "sample_id": k,
            "passed": bool(rng.random() < chance + easy_P[p]),
            "quality": float(rng.random()),
            "intent": [None, "joke", "tip", "story"][int(rng.integers(4))],
            "well_formed": bool(rng.random() < 0.9),
        }
        for p in range(prompts)
        for k in range(n)
    ]
    diversity = [
        {"prompt_id": f"p{p:03d}", "distinct_intents": 3, "semantic_diversity": float(rng.random()), "self_bleu": 0.4}
        for p in range(prompts)
    ]
    folder.mkdir(parents=True)
    frames = {"scores": pl.DataFrame(rows), "diversity": pl.DataFrame(diversity)} | (changes or {})
    for name, frame in frames.items():
        frame.sample(fraction=1, shuffle=True, seed=1).write_parquet(folder / f"{name}.parquet")
    return folder


def write_adapter(folder, label, points=3):
    arm, seed = label.split("/")
    folder.mkdir(parents=True)
    measured = [{"step": 10 * i, "self_bleu": 0.1 * i, "token_entropy": math.nan} for i in range(points)]
    (folder / "dynamics.json").write_text(json.dumps({"arm": arm, "seed": int(seed), "points": measured}))
    return folder


def job_in(folder):
    folder.mkdir()
    return Job(folder, folder, lambda metrics, step: None)


CHANCES = {"zero_shot": 0.1, "few_shot": 0.2, "baseline": 0.4, "polychromic": 0.7}


def labels(seeds):
    return [f"{arm}/{seed}" for arm in ARMS for seed in (seeds if arm in ARMS[2:] else (0,))]


def write_all(folder, seeds):
    scores = {
        label: write_scores(folder / "scores" / label, label, CHANCES[label.split("/")[0]]) for label in labels(seeds)
    }
    trained = [label for label in scores if label.split("/")[0] in ARMS[2:]]
    return scores, {label: write_adapter(folder / "adapters" / label, label) for label in trained}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("core")
    scores, adapters = write_all(folder, (42, 123))
    metrics = write_core_results(SPEC, scores, adapters, job_in(folder / "report"))
    return folder / "report", metrics, scores


def read(folder, name):
    return json.loads((folder / name).read_text())


def test_every_promised_file_is_there(results):
    folder, _, _ = results
    plots = {f"{n}.{e}" for n in ("diversity_trajectory_plot", "pareto_frontier", "pass_at_k") for e in ("pdf", "png")}
    tables = {"table.json", "table.csv", "comparisons.json", "dynamics_data.json"}
    assert {path.name for path in folder.iterdir()} == plots | tables


def test_values_equal_those_computed_by_hand(results):
    folder, metrics, scores = results
    rows = {(row["arm"], row["metric"]): row for row in read(folder, "table.json")}
    frames = [pl.read_parquet(scores[f"baseline/{seed}"] / "scores.parquet") for seed in (42, 123)]
    both = pl.concat(frames)
    assert rows["baseline", "pass_at_1"]["value"] == pytest.approx(both["passed"].mean())
    assert rows["baseline", "quality"]["value"] == pytest.approx(both["quality"].mean())
    assert rows["baseline", "well_formed"]["value"] == pytest.approx(both["well_formed"].mean())
    intents = both.group_by("seed", "prompt_id").agg(pl.col("intent").drop_nulls().n_unique())["intent"].mean()
    assert rows["baseline", f"distinct_intents_at_{N}"]["value"] == pytest.approx(intents)
    for (arm, metric), row in rows.items():
        assert row["n"] == PROMPTS
        assert row["undefined"] == 0
        assert row["seeds"] == (2 if arm in ARMS[2:] else 1)
        assert row["low"] - 1e-12 <= row["value"] <= row["high"] + 1e-12
        assert metrics[f"social/{arm}/{metric}"] == row["value"]
        assert metrics[f"social/{arm}/{metric}_low"] == row["low"]
    assert rows["baseline", "self_bleu"]["better"] == "lower"


def test_the_csv_says_the_same_as_the_json(results):
    folder, _, _ = results
    with (folder / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    expected = read(folder, "table.json")
    assert [(row["arm"], row["metric"]) for row in rows] == [(row["arm"], row["metric"]) for row in expected]
    assert [float(row["value"]) for row in rows] == pytest.approx([row["value"] for row in expected])


def test_comparisons_are_of_the_named_pairs_and_claim_no_more_than_their_interval(results):
    folder, metrics, _ = results
    rows = {(row["arm"], row["reference"], row["metric"]): row for row in read(folder, "comparisons.json")}
    assert {key[:2] for key in rows} == {("polychromic", "baseline"), ("baseline", "few_shot")}
    for (arm, reference, metric), row in rows.items():
        difference = row["difference"]
        assert difference["value"] == pytest.approx(
            metrics[f"social/{arm}/{metric}"] - metrics[f"social/{reference}/{metric}"]
        )
        assert row["distinguishable"] == (difference["low"] > 0 or difference["high"] < 0)
        assert row["covers_training_runs"] is True
        assert metrics[f"social/{arm}_minus_{reference}/{metric}_high"] == difference["high"]
    assert rows["polychromic", "baseline", "pass_at_1"]["distinguishable"]
    assert not rows["polychromic", "baseline", "self_bleu"]["distinguishable"]  # 0.4 everywhere
    assert rows["polychromic", "baseline", "pass_at_1"]["p_holm"] >= rows["polychromic", "baseline", "pass_at_1"]["p"]


def test_dynamics_data_holds_every_arm_and_seed_as_strict_json(results):
    folder, _, _ = results
    runs = read(folder, "dynamics_data.json")["trajectories"]
    assert [(run["arm"], run["seed"]) for run in runs] == [
        (arm, seed) for arm in ("baseline", "polychromic") for seed in (42, 123)
    ]
    assert runs[0]["points"][1] == {"step": 10, "self_bleu": 0.1, "token_entropy": None}


def test_one_seed_says_that_training_runs_are_not_covered_and_equal_inputs_give_equal_files(tmp_path):
    scores, adapters = write_all(tmp_path, (42,))
    first = write_core_results(SPEC, scores, adapters, job_in(tmp_path / "first"))
    again = write_core_results(SPEC, dict(reversed(scores.items())), adapters, job_in(tmp_path / "again"))
    assert first == again
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    assert {row["covers_training_runs"] for row in read(tmp_path / "first", "comparisons.json")} == {False}


def test_without_dynamics_there_is_no_plot_of_them(tmp_path):
    scores, adapters = write_all(tmp_path, (42,))
    empty = {label: write_adapter(tmp_path / "empty" / label, label, points=0) for label in adapters}
    write_core_results(SPEC, scores, empty, job_in(tmp_path / "report"))
    assert not (tmp_path / "report" / "diversity_trajectory_plot.pdf").exists()
    assert read(tmp_path / "report", "dynamics_data.json") == {"trajectories": []}


TWO = ReportSpec(arms=("baseline", "polychromic"), ks=(1, 5), resamples=200)


def write_two(folder, **different):
    return {
        "baseline/1": write_scores(folder / "a", "baseline/1"),
        "polychromic/1": write_scores(folder / "b", "polychromic/1", **different),
    }


def test_other_prompts_are_refused_by_name(tmp_path):
    with pytest.raises(MetricError, match="p030"):
        write_core_results(TWO, write_two(tmp_path, prompts=31), {}, job_in(tmp_path / "report"))


def test_another_n_is_refused(tmp_path):
    with pytest.raises(MetricError, match="11 and 12 candidates"):
        write_core_results(TWO, write_two(tmp_path, n=11), {}, job_in(tmp_path / "report"))


def test_a_prompt_with_fewer_candidates_is_named(tmp_path):
    scores = write_two(tmp_path)
    path = scores["polychromic/1"] / "scores.parquet"
    pl.read_parquet(path).filter((pl.col("prompt_id") != "p007") | (pl.col("sample_id") > 0)).write_parquet(path)
    with pytest.raises(MetricError, match=r"polychromic/1.*p007"):
        write_core_results(TWO, scores, {}, job_in(tmp_path / "report"))


def test_an_unscored_candidate_is_named(tmp_path):
    scores = write_two(tmp_path)
    path = scores["baseline/1"] / "scores.parquet"
    blank = pl.when(pl.col("prompt_id") == "p003").then(None).otherwise(pl.col("passed")).alias("passed")
    pl.read_parquet(path).with_columns(blank).write_parquet(path)
    with pytest.raises(MetricError, match=r"baseline/1.*p003"):
        write_core_results(TWO, scores, {}, job_in(tmp_path / "report"))


def test_an_undefined_diversity_is_counted_and_not_made_zero(tmp_path):
    scores = write_two(tmp_path)
    path = scores["polychromic/1"] / "diversity.parquet"
    frame = pl.read_parquet(path).sort("prompt_id")
    values = frame["semantic_diversity"].to_list()
    frame.with_columns(pl.Series("semantic_diversity", [math.nan, None, *values[2:]])).write_parquet(path)
    write_core_results(TWO, scores, {}, job_in(tmp_path / "report"))
    rows = {(row["arm"], row["metric"]): row for row in read(tmp_path / "report", "table.json")}
    row = rows["polychromic", "semantic_diversity"]
    assert (row["n"], row["undefined"]) == (PROMPTS - 2, 2)
    assert row["value"] == pytest.approx(np.mean(values[2:]))
    (difference,) = [
        row["difference"]
        for row in read(tmp_path / "report", "comparisons.json")
        if row["metric"] == "semantic_diversity"
    ]
    assert difference["n"] == PROMPTS - 2


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda scores: scores.pop("polychromic/1"), MetricError, "polychromic"),
        (lambda scores: scores.update({"polychromic/1": scores["baseline/1"]}), ArtifactError, "baseline/1"),
        (lambda scores: (scores["baseline/1"] / "diversity.parquet").unlink(), ArtifactError, "diversity.parquet"),
    ],
    ids=["an arm is missing", "scores of another arm", "a file is missing"],
)
def test_what_does_not_belong_together_is_refused(tmp_path, change, error, message):
    scores = write_two(tmp_path)
    change(scores)
    with pytest.raises(error, match=message):
        write_core_results(TWO, scores, {}, job_in(tmp_path / "report"))


def test_k_above_n_is_refused(tmp_path):
    spec = TWO.model_copy(update={"ks": (1, 13)})
    with pytest.raises(MetricError, match="k = 13"):
        write_core_results(spec, write_two(tmp_path), {}, job_in(tmp_path / "report"))


def test_an_adapter_without_dynamics_is_named(tmp_path):
    with pytest.raises(ArtifactError, match=r"baseline/1.*dynamics\.json"):
        write_core_results(TWO, write_two(tmp_path), {"baseline/1": tmp_path}, job_in(tmp_path / "report"))
