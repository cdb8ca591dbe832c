"""The code domain's table: its own names, no metric twice, trained arms beside their start."""

import json

import polars as pl
import pytest

from polymlops.config.slices import ReportSpec
from polymlops.records import Job
from polymlops.report.code import code_pairs, write_code_results

ARMS = ("zero_shot", "code_mean", "code_max")
PROBLEMS, N = 8, 4


def write(folder, arm, right, diversity=0.5):
    """`right` of the N candidates of every problem pass."""
    folder.mkdir(parents=True)
    rows = [
        {"arm": arm, "seed": 0, "domain": "code_world", "prompt_id": f"p{p}", "sample_id": k, "passed": k < right}
        | {"quality": float(k < right), "intent": f"algorithm {k % 2}", "well_formed": True, "verdict": "x"}
        | {"selector_logprob": -float(k), "selector_length": float(k)}
        for p in range(PROBLEMS)
        for k in range(N)
    ]
    pl.DataFrame(rows).write_parquet(folder / "scores.parquet")
    table = {"prompt_id": [f"p{p}" for p in range(PROBLEMS)], "ast_diversity": [diversity] * PROBLEMS}
    pl.DataFrame(table, schema_overrides={"ast_diversity": pl.Float64}).write_parquet(folder / "diversity.parquet")
    return folder


def report(tmp_path, **diversity):
    rights = {"zero_shot": 1, "code_mean": 2, "code_max": 2}
    scores = {f"{arm}/0": write(tmp_path / arm, arm, n, **diversity) for arm, n in rights.items()}
    output = tmp_path / "report"
    output.mkdir()
    spec = ReportSpec(arms=ARMS, domain="code_world", ks=(1, 2), resamples=200)
    return output, write_code_results(spec, scores, Job(output, output, lambda metrics, step: None))


def test_values_and_names_are_those_of_the_domain(tmp_path):
    output, metrics = report(tmp_path)
    assert metrics["code_world/zero_shot/pass_at_1"] == pytest.approx(1 / 4)
    assert metrics["code_world/code_mean_minus_zero_shot/pass_at_2"] == pytest.approx(5 / 6 - 1 / 2)
    assert metrics["code_world/zero_shot/distinct_algorithms_at_4"] == 2
    assert not [name for name in metrics if "intents" in name or "/quality" in name]
    assert (output / "pareto_frontier.pdf").exists()
    assert not (output / "dynamics_data.json").exists()


def test_without_two_programs_that_parse_there_is_a_table_and_no_frontier(tmp_path):
    output, metrics = report(tmp_path, diversity=None)
    row = next(row for row in json.loads((output / "table.json").read_text()) if row["metric"] == "ast_diversity")
    assert (row["value"], row["undefined"]) == (None, PROBLEMS)
    assert not (output / "pareto_frontier.pdf").exists()
    assert metrics["code_world/code_max/pass_at_1"] == pytest.approx(1 / 2)


def test_where_nothing_could_be_judged_there_is_a_table_and_no_curve(tmp_path):
    folder = write(tmp_path / "zero_shot", "zero_shot", 2)
    rows = pl.read_parquet(folder / "scores.parquet").with_columns(
        pl.lit("harness_error").alias("verdict"),
        pl.lit(None, pl.Boolean).alias("passed"),
        pl.lit(None, pl.Float64).alias("quality"),
    )
    rows.write_parquet(folder / "scores.parquet")
    output = tmp_path / "report"
    output.mkdir()
    spec = ReportSpec(arms=("zero_shot",), domain="code_world", ks=(1, 2), resamples=200)
    write_code_results(spec, {"zero_shot/0": folder}, Job(output, output, lambda metrics, step: None))
    table = {row["metric"]: row for row in json.loads((output / "table.json").read_text())}
    assert (table["pass_at_1"]["value"], table["pass_at_1"]["undefined"]) == (None, PROBLEMS)
    assert table["distinct_algorithms_at_4"]["value"] == 2
    assert not (output / "pass_at_k.pdf").exists()


def test_arms_trained_on_programs_stand_beside_their_start_and_the_plain_objective():
    assert code_pairs(ARMS) == [("code_mean", "zero_shot"), ("code_max", "zero_shot"), ("code_max", "code_mean")]
    assert code_pairs(("few_shot", "baseline", "polychromic")) == [
        ("polychromic", "baseline"),
        ("baseline", "few_shot"),
    ]
    assert ("code_max", "baseline") not in code_pairs((*ARMS, "baseline"))
