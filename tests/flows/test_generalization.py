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
    assert list(dict.fromkeys(row["arm"] for row in printed["table"])) == ARMS
    metrics = {row["metric"] for row in printed["table"]}
    assert {"pass_at_1", "pass_at_3", "ast_diversity", "ast_diversity_kept_passing", "well_formed"} <= metrics
    assert {"distinct_algorithms_at_3", "distinct_passing_algorithms_at_3"} <= metrics
    assert not {name for name in metrics if "intents" in name or name.startswith("quality")}
    names = {Path(name).name for name in printed["files"]}
    assert {"pass_at_k.pdf", "pass_at_k.png", "table.json", "table.csv", "comparisons.json"} <= names


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
    assert {"code_world/pass_at_1", "social/pass_at_1"} <= keys


def test_phase_3_alone_finds_everything(smoke, shell):
    before = stage_runs(smoke.output_dir)
    code, done = shell.run("run", PROFILE, "--phase", "3", "--json", "--set", f"output_dir={smoke.output_dir}")
    assert code == 0, done.err
    assert (
        json.loads(done.out)["generalization"]["artifacts"] == json.loads(smoke.printed)["generalization"]["artifacts"]
    )
    assert stage_runs(smoke.output_dir) == before


def test_another_suite_repeats_only_the_code_domain(smoke, shell):
    change = ["--set", f"output_dir={smoke.output_dir}", "--set", "code.suite={kind: world, seed: 5}"]
    code, done = shell.run("plan", PROFILE, "--json", *change)
    assert code == 0, done.err
    waiting = [stage["title"] for stage in json.loads(done.out)["stages"] if not stage["cached"]]
    assert {title.split()[0] for title in waiting} == {"sample_programs", "score_programs", "write_code_results"}


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
