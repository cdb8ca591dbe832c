"""A smoke run leaves everything that phase 3 promises; alone, it finds its foundations."""

import json
import sqlite3
from pathlib import Path

import pytest
from ledgers import artifact, finished_runs, stage_runs
from processes import PROFILE

pytestmark = pytest.mark.slow
ARMS = ["zero_shot", "few_shot", "baseline", "polychromic", "baseline_grpo", "polychromic_grpo"]


@pytest.fixture(scope="module")
def printed(smoke):
    return json.loads(smoke.printed)["generalization"]


def test_every_arm_of_both_phases_is_in_the_table(printed):
    table = printed["domains"]["code"]["table"]
    assert list(dict.fromkeys(row["arm"] for row in table)) == ARMS
    metrics = {row["metric"] for row in table}
    assert {"pass_at_1", "pass_at_3", "ast_diversity", "ast_diversity_kept_passing", "well_formed"} <= metrics
    assert {"distinct_algorithms_at_3", "distinct_passing_algorithms_at_3"} <= metrics
    assert not {name for name in metrics if "intents" in name or name.startswith("quality")}
    names = {Path(name).name for name in printed["files"]}
    assert {"pass_at_k.pdf", "pass_at_k.png", "table.json", "table.csv", "comparisons.json"} <= names


def test_every_arm_wrote_stories_that_were_judged(smoke, printed):
    table = printed["domains"]["creative"]["table"]
    assert list(dict.fromkeys(row["arm"] for row in table)) == [arm for arm in ARMS if arm != "few_shot"]
    metrics = {row["metric"] for row in table}
    assert {"pass_at_1", "quality", "semantic_diversity", "novelty_distinct_at_3", "judge_coherence"} <= metrics
    assert {"perplexity", "repetition", "truncated", "self_bleu", "compression_ratio"} <= metrics
    (run_id,) = finished_runs(smoke.output_dir)["score_texts polychromic/42"]
    assert {"scores.parquet", "diversity.parquet", "verdicts.parquet"} <= set(artifact(smoke.output_dir, run_id))


def test_domains_are_compared_from_the_sample_sets_of_all_phases(smoke, printed):
    folder = Path(printed["cross_domain"]["zero_shot"])
    names = {path.name for path in folder.iterdir()}
    assert {"table.csv", "gains.csv", "correlations.csv", "retentions.csv", "cross_domain.pdf"} <= names
    gains = json.loads((folder / "gains.json").read_text())
    assert {(row["domain"], row["arm"]) for row in gains} == {
        (domain, arm) for domain in ("social", "code", "creative") for arm in ARMS[2:]
    }
    assert {row["base"] for row in gains} == {"zero_shot"}
    core = {(row["arm"], row["metric"]): row for row in json.loads(smoke.printed)["core"]["table"]}
    asked = core["baseline", "pass_at_1"]["n"]
    whole = [
        row for row in gains if row["home"] and row["arm"] == "baseline" and row["n"] == asked
    ]  # paired, all there
    for row in whole:
        metric = row["metric"]
        if ("baseline", metric) in core:
            expected = core["baseline", metric]["value"] - core["zero_shot", metric]["value"]
            assert row["value"] == pytest.approx(expected), metric
    assert any(row["value"] for row in whole)
    over_plain = json.loads((Path(printed["cross_domain"]["baseline"]) / "gains.json").read_text())
    assert {row["arm"] for row in over_plain} == set(ARMS[3:])
    assert len(finished_runs(smoke.output_dir)["sample_arm polychromic/42"]) == 1  # once a domain, for all phases


def test_every_candidate_was_executed_and_has_a_verdict(smoke):
    (run_id,) = finished_runs(smoke.output_dir)["score_programs zero_shot/0"]
    assert {"scores.parquet", "programs.parquet", "diversity.parquet"} <= set(artifact(smoke.output_dir, run_id))
    with sqlite3.connect(smoke.output_dir / "mlflow.db") as database:
        query = "select key, value from latest_metrics where run_uuid = ?"
        logged = dict(database.execute(query, [run_id]).fetchall())
        steps = "select step, value from metrics where run_uuid = ? and key = 'code_world/pass_at_k' order by step"
        curve = database.execute(steps, [run_id]).fetchall()
    verdicts = sum(value for key, value in logged.items() if key.startswith("code_world/verdict_"))
    assert verdicts == 3 * 6
    assert logged["code_world/harness_errors"] == 0
    assert [step for step, _ in curve] == [1, 2, 3]
    assert curve[0][1] == logged["code_world/pass_at_1"]


def test_arms_have_their_code_metrics_beside_their_social_ones(smoke):
    query = (
        "select m.key from latest_metrics m join tags r on r.run_uuid = m.run_uuid and r.key = 'role'"
        " join tags t on t.run_uuid = m.run_uuid and t.key = 'arm' where t.value = 'polychromic_grpo'"
    )
    with sqlite3.connect(smoke.output_dir / "mlflow.db") as database:
        keys = {key for (key,) in database.execute(query)}
    assert {"code_world/pass_at_1", "creative/pass_at_1", "social/pass_at_1"} <= keys


def test_phase_3_alone_finds_everything(smoke, after_smoke, shell):
    before = stage_runs(after_smoke)
    code, done = shell.run("run", PROFILE, "--phase", "3", "--json", "--set", f"output_dir={after_smoke}")
    assert code == 0, done.err
    assert (
        json.loads(done.out)["generalization"]["artifacts"] == json.loads(smoke.printed)["generalization"]["artifacts"]
    )
    assert stage_runs(after_smoke) == before


def test_another_suite_repeats_only_the_code_domain(smoke, shell):
    change = ["--set", f"output_dir={smoke.output_dir}", "--set", "code.suite={kind: world, seed: 5}"]
    code, done = shell.run("plan", PROFILE, "--json", *change)
    assert code == 0, done.err
    waiting = [stage["title"] for stage in json.loads(done.out)["stages"] if not stage["cached"]]
    stages = {"sample_programs", "score_programs", "write_code_results", "write_cross_domain"}
    assert {title.split()[0] for title in waiting} == stages | {"measure_code"}


def test_another_judge_asks_again_and_samples_nothing(smoke, shell):
    change = ["--set", f"output_dir={smoke.output_dir}", "--set", "creative.judge=null"]
    code, done = shell.run("plan", PROFILE, "--json", *change)
    assert code == 0, done.err
    waiting = [stage["title"] for stage in json.loads(done.out)["stages"] if not stage["cached"]]
    stages = {"score_texts", "write_creative_results", "write_cross_domain", "measure_creative"}
    assert {title.split()[0] for title in waiting} == stages


def test_a_domain_can_be_left_out(shell):
    code, done = shell.run("plan", PROFILE, "--json", "--set", "code=null", "--set", "creative=null")
    assert code == 0, done.err
    stages = {stage["title"].split()[0] for stage in json.loads(done.out)["stages"]}
    assert not stages & {"sample_programs", "sample_texts", "write_cross_domain"}


def test_training_on_programs_is_planned_with_one_start_a_seed(shell):
    code, done = shell.run("plan", "code-grpo", "--json", "--set", "seeds=[1, 2]")
    assert code == 0, done.err
    titles = [stage["title"] for stage in json.loads(done.out)["stages"]]
    trained = [title for title in titles if title.startswith("train_on_programs")]
    names = ("code_mean", "code_max", "code_polychromic")
    assert trained == [f"train_on_programs {arm}/{seed}" for seed in (1, 2) for arm in names]
    assert titles.count("make_zero_adapter") == 2
    assert [title for title in titles if title.startswith("score_programs")] == [
        "score_programs zero_shot/0",
        *(title.replace("train_on", "score") for title in trained),
    ]
