"""A smoke run leaves everything that phase 4 promises; alone, it samples nothing and needs what the others left."""

import json
import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from ledgers import artifact, finished_runs, listed_stages, parent_runs, stage_runs
from processes import PROFILE

pytestmark = pytest.mark.slow
ARMS = ["zero_shot", "few_shot", "baseline", "polychromic", "baseline_grpo", "polychromic_grpo"]
SELECTORS = {"logprob", "length", "random", "heuristic", "diversity_first", "noisy_human", "position_biased"}


@pytest.fixture(scope="module")
def printed(smoke):
    return json.loads(smoke.printed)["novel"]


def _metrics(smoke, domain):
    (run_id,) = finished_runs(smoke.output_dir)[f"measure_{domain}"]
    return json.loads(artifact(smoke.output_dir, run_id)["novel_metrics.json"])


@pytest.mark.parametrize(("domain", "k", "more"), [("social", 5, {"reward"}), ("code", 3, set())])
def test_every_arm_has_every_selector(smoke, domain, k, more):
    rows = [row for row in _metrics(smoke, domain) if row["seed"] is None]
    for arm in ARMS:
        names = {row["metric"] for row in rows if row["arm"] == arm}
        assert {f"usq_{selector}_at_{k}" for selector in SELECTORS | more} <= names
        assert {f"pass_at_{k}", f"der_at_{k}", f"coverage_efficiency_at_{k}", "collapse_point"} <= names


def test_the_reward_model_compares_all_arms(smoke):
    (run_id,) = finished_runs(smoke.output_dir)["measure_social"]
    rows = json.loads(artifact(smoke.output_dir, run_id)["novel_comparisons.json"])
    pairs = [(row["arm"], row["reference"]) for row in rows if row["metric"] == "usq_reward_at_5"]
    assert len(pairs) == len(set(pairs)) == 15


def test_headlines_are_on_the_runs_of_the_arms(smoke, printed):
    rows = {(row["arm"], row["metric"]): row["value"] for row in printed["table"]}
    query = (
        "select t.value, m.value from latest_metrics m join tags t on t.run_uuid = m.run_uuid and t.key = 'arm'"
        " join tags r on r.run_uuid = m.run_uuid and r.key = 'role' where m.key = 'social/usq_heuristic_at_5'"
    )
    with sqlite3.connect(smoke.output_dir / "mlflow.db") as database:
        logged = dict(database.execute(query).fetchall())
    assert logged == {arm: rows[arm, "social/usq_heuristic_at_5"] for arm in ARMS}


def test_the_page_lies_where_it_was_printed_and_on_the_roadmaps_run(smoke, printed):
    page = Path(printed["page"])
    assert printed["page"] in printed["files"]
    (_, run_id, _), *_ = parent_runs(smoke.output_dir)
    (logged,) = smoke.output_dir.glob(f"artifacts/*/{run_id}/artifacts/report/report.html")
    assert logged.read_bytes() == page.read_bytes()
    text = page.read_text()
    for ref in listed_stages(smoke.output_dir).values():
        assert f'id="run-{ref["run_id"]}"' in text
    links = set(re.findall(r'href="#(run-[0-9a-f]+)"', text))
    assert links <= set(re.findall(r'id="(run-[0-9a-f]+)"', text))
    assert len(links) >= 12
    assert "has not finished" not in text


def test_phase_4_alone_finds_everything_and_samples_nothing(smoke, after_smoke, shell):
    before = stage_runs(after_smoke)
    code, done = shell.run("run", PROFILE, "--phase", "4", "--json", "--set", f"output_dir={after_smoke}")
    assert code == 0, done.err
    assert json.loads(done.out)["novel"]["artifacts"] == json.loads(smoke.printed)["novel"]["artifacts"]
    assert stage_runs(after_smoke) == before


def test_phase_4_of_nothing_is_refused_and_leaves_no_run(shell, tmp_path, smoke):
    output_dir = tmp_path / "out"
    output_dir.mkdir()
    shutil.copy(smoke.output_dir / "mlflow.db", output_dir)
    before = parent_runs(output_dir)
    domains = ("", "code.", "creative.")
    other = [part for domain in domains for part in ("--set", f"{domain}sampling.temperature=0.3")]
    code, done = shell.run("run", PROFILE, "--phase", "4", "--set", f"output_dir={output_dir}", *other)
    assert code == 2
    assert "nothing that phase 4 could measure is stored" in done.err
    assert "run phases 1 to 3" in done.err
    assert parent_runs(output_dir) == before


def test_what_phases_1_to_3_did_not_leave_is_on_the_page(after_smoke, shell):
    """Code programs at another temperature are not stored, so that phase 4 has replies and stories only."""
    changed = ["--set", f"output_dir={after_smoke}", "--set", "code.sampling.temperature=0.3"]
    before = stage_runs(after_smoke)
    code, done = shell.run("run", PROFILE, "--phase", "4", "--json", *changed)
    assert code == 0, done.err
    found = json.loads(done.out)["novel"]
    assert set(found["artifacts"]["reports"]) == {"social", "creative"}
    assert "code: no stored scores of zero_shot/0; run phases 1 to 3" in found["missing"]
    assert stage_runs(after_smoke) == before


def test_report_of_a_run_of_an_experiment_and_of_nothing(smoke, printed, shell):
    (_, run_id, _), *_ = parent_runs(smoke.output_dir)
    where = ["--set", f"output_dir={smoke.output_dir}"]
    code, done = shell.run("report", run_id, *where)
    assert code == 0, done.err
    assert (done.folder / "report.html").read_bytes() == Path(printed["page"]).read_bytes()
    assert done.out.splitlines()[-1] == str(done.folder / "report.html")
    code, done = shell.run("report", "nowhere", "--out", "x.html", *where)
    assert code == 2
    assert "nowhere: neither a run nor an experiment" in done.err
    assert not (done.folder / "x.html").exists()


def test_report_without_a_store_or_a_place_to_write_is_refused(shell, tmp_path):
    code, done = shell.run("report", "demo", "--set", f"output_dir={tmp_path / 'none'}")
    assert code == 2
    assert "no tracking store" in done.err
    assert not (tmp_path / "none").exists()
    code, done = shell.run("report", "demo", "--out", str(tmp_path / "none" / "x.html"))
    assert code == 2
    assert "cannot be written" in done.err
