"""A smoke run leaves everything that phase 1 promises; run again, it finds all of it."""

import json
import sqlite3
import sys
from pathlib import Path

import pytest
from ledgers import artifact, finished_runs, listed_stages, parent_runs, stage_runs
from processes import PROFILE

pytestmark = pytest.mark.slow
ARMS = ["zero_shot/0", "few_shot/0", "baseline/42", "polychromic/42"]
FIGURES = ["diversity_trajectory_plot", "pareto_frontier", "pass_at_k"]

PLAIN_PYTHON = """
import asyncio, sys
from flows import run_core_results, run_roadmap
from polymlops.config.profiles import load_config
config = load_config(sys.argv[1], ["output_dir=" + sys.argv[2]])
roadmap = run_roadmap(config)
print(roadmap.model_dump_json())
async def program():
    return run_core_results(config)
print(asyncio.run(program()).model_dump_json())
"""


@pytest.fixture(scope="module")
def printed(smoke):
    return json.loads(smoke.printed)["core"]


def _query(smoke, query):
    with sqlite3.connect(smoke.output_dir / "mlflow.db") as database:
        return database.execute(query).fetchall()


def test_stages_ran_once_each_under_one_finished_parent(smoke):
    titles = [title for title, _, _ in stage_runs(smoke.output_dir)]
    samples = [title for arm in ARMS for title in (f"sample_arm {arm}", f"score_samples {arm}")]
    adapters = [f"train_adapter {arm}" for arm in ARMS[2:]]
    core = ["prepare_dataset", "build_base_model", *adapters, *samples, "write_core_results"]
    assert titles[: len(core)] == core
    tuned = [f"{arm}/42" for arm in ("baseline_grpo", "polychromic_grpo")]
    scored = [f"score_samples {arm}" for arm in ARMS[2:]]  # again, by the reward model too
    scored += [title for arm in tuned for title in (f"sample_arm {arm}", f"score_samples {arm}")]
    depth = ["train_reward_model", *(f"train_grpo {arm}" for arm in tuned), *scored, "write_theoretical_depth"]
    depth += ["analyse_adapters", "analyse_mechanism", "check_theory"]
    assert titles[len(core) : len(core) + len(depth)] == depth
    executed = [title for arm in [*ARMS, *tuned] for title in (f"sample_programs {arm}", f"score_programs {arm}")]
    code = [*executed, "write_code_results"]
    written = [title for arm in [ARMS[0], *ARMS[2:], *tuned] for title in (f"sample_texts {arm}", f"score_texts {arm}")]
    creative = ["prepare_prompts", *written, "write_creative_results"]
    compared = ["write_cross_domain", "write_cross_domain"]
    rewarded = [f"score_samples {arm}" for arm in ARMS[:2]]  # the arms that phase 2 leaves out
    measured = [f"measure_{domain}" for domain in ("social", "code", "creative")]
    assert titles[len(core) + len(depth) :] == [*code, *creative, *compared, *rewarded, *measured]
    assert {status for _, _, status in stage_runs(smoke.output_dir)} == {"FINISHED"}
    assert [status for _, _, status in parent_runs(smoke.output_dir)] == ["FINISHED"]
    parents = _query(smoke, "select distinct value from tags where key = 'mlflow.parentRunId'")
    assert parents == [(parent_runs(smoke.output_dir)[0][1],)]


def test_figures_and_tables_lie_where_they_were_printed(smoke, printed):
    names = {Path(name).name for name in printed["files"]}
    assert {f"{figure}.{ending}" for figure in FIGURES for ending in ("pdf", "png")} <= names
    assert {"dynamics_data.json", "table.json", "table.csv"} <= names
    assert all(Path(name).stat().st_size > 0 for name in printed["files"])


def test_table_has_every_arm_and_is_on_its_mlflow_run(smoke, printed):
    rows = {(row["arm"], row["metric"]): row["value"] for row in printed["table"]}
    assert {arm for arm, _ in rows} == {arm.split("/")[0] for arm in ARMS}
    query = (
        "select t.value, m.value from latest_metrics m join tags t on t.run_uuid = m.run_uuid and t.key = 'arm'"
        " join tags r on r.run_uuid = m.run_uuid and r.key = 'role' where m.key = 'social/pass_at_1'"
    )
    logged = dict(_query(smoke, query))
    arms = [arm.split("/")[0] for arm in ARMS]
    assert {arm: logged[arm] for arm in arms} == {arm: rows[arm, "pass_at_1"] for arm in arms}


def test_training_logged_every_step_once_and_its_dataset(smoke):
    (run_id,) = finished_runs(smoke.output_dir)["train_adapter polychromic/42"]
    steps = _query(smoke, f"select step from metrics where run_uuid = '{run_id}' and key = 'train/loss' order by step")
    assert len(steps) > 1
    assert len(steps) == len(set(steps))
    dataset = listed_stages(smoke.output_dir)["dataset"]
    digests = _query(
        smoke,
        "select d.digest from inputs i join datasets d on d.dataset_uuid = i.source_id"
        f" where i.destination_id = '{run_id}'",
    )
    assert digests == [(dataset["digest"][:36],)]
    assert "adapter_model.safetensors" in artifact(smoke.output_dir, run_id)


def test_nothing_unfinished_and_no_home_folder_is_left(smoke):
    assert list((smoke.output_dir / "work").iterdir()) == []
    assert (smoke.output_dir / "prefect" / "prefect.db").exists()


def test_prefect_has_every_task_and_its_end(smoke):
    with sqlite3.connect(smoke.output_dir / "prefect" / "prefect.db") as database:
        tasks = database.execute("select name, state_name from task_run order by start_time").fetchall()
        flows = database.execute("select name, state_name from flow_run").fetchall()
    assert flows == [("smoke", "Completed")] * 5
    first = [state for name, state in tasks if name.startswith(("train_adapter", "sample_arm"))][:6]
    assert first == ["Completed"] * 6


def test_from_plain_python_and_from_a_running_event_loop_everything_is_cached(smoke, after_smoke, shell):
    before = stage_runs(after_smoke)
    script = shell.folder / "script.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(PLAIN_PYTHON)
    started = shell.start(sys.executable, str(script), PROFILE, str(after_smoke))
    assert started.wait() == 0, started.err
    roadmap, core = started.out.splitlines()
    assert json.loads(roadmap)["core"] == json.loads(core)
    assert json.loads(core)["artifacts"] == json.loads(smoke.printed)["core"]["artifacts"]
    assert stage_runs(after_smoke) == before
    assert [status for _, _, status in parent_runs(after_smoke)] == ["FINISHED"]
    with sqlite3.connect(after_smoke / "prefect" / "prefect.db") as database:
        tasks = database.execute("select name, state_name from task_run").fetchall()
    phases = ("register_model", "publish_page", "core-results", "theoretical-depth", "generalization", "novel-metrics")
    ends = [state for name, state in tasks if not name.startswith(phases)]
    assert set(ends) == {"Completed", "Cached"}
    assert ends.count("Completed") == len(before)


def test_plan_has_the_stages_that_ran(smoke, shell):
    code, done = shell.run("plan", PROFILE, "--json", "--set", f"output_dir={smoke.output_dir}")
    assert code == 0, done.err
    stages = json.loads(done.out)["stages"]
    assert [stage["title"] for stage in stages] == [title for title, _, _ in stage_runs(smoke.output_dir)]
    assert all(stage["cached"] and stage["seconds"] >= 0 for stage in stages)


def test_plan_of_a_change_repeats_what_depends_on_it(smoke, shell):
    change = ["--set", f"output_dir={smoke.output_dir}", "--set", "polychromic.lambda=0.123"]
    code, done = shell.run("plan", PROFILE, "--json", *change)
    assert code == 0, done.err
    plan = json.loads(done.out)
    assert [stage["title"] for stage in plan["stages"] if not stage["cached"]] == [
        "train_adapter polychromic/42",
        "sample_arm polychromic/42",
        "score_samples polychromic/42",
        "write_core_results",
        "train_grpo polychromic_grpo/42",
        "score_samples polychromic/42",
        "sample_arm polychromic_grpo/42",
        "score_samples polychromic_grpo/42",
        "write_theoretical_depth",
        "analyse_adapters",
        "analyse_mechanism",
        "check_theory",
        "sample_programs polychromic/42",
        "score_programs polychromic/42",
        "sample_programs polychromic_grpo/42",
        "score_programs polychromic_grpo/42",
        "write_code_results",
        "sample_texts polychromic/42",
        "score_texts polychromic/42",
        "sample_texts polychromic_grpo/42",
        "score_texts polychromic_grpo/42",
        "write_creative_results",
        "write_cross_domain",
        "write_cross_domain",
        "measure_social",
        "measure_code",
        "measure_creative",
    ]
    assert plan["total"]["unknown"] == 0
    assert plan["total"]["expected_seconds"] > 0
