"""What the pages of a finished smoke run show in Prefect, read back by its client."""

import json
import re
import shutil
from pathlib import Path

import pytest
from ledgers import parent_runs, stage_runs
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from flows.run_pages import pages_address
from flows.services import local_api

pytestmark = pytest.mark.slow
PHASES = ("core-results", "theoretical-depth", "generalization", "novel-metrics")


@pytest.fixture(scope="module")
def pages(smoke, tmp_path_factory):
    """Artifacts by flow and key."""
    found, home = {}, shutil.copytree(smoke.output_dir / "prefect", tmp_path_factory.mktemp("pages") / "prefect")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(home))
        log = tmp_path_factory.mktemp("api") / "server.log"
        with local_api(log) as url, SyncPrefectClient(url) as client:
            flows = {flow.id: flow.name for flow in client.read_flows()}
            for run in client.read_flow_runs():
                page = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
                artifacts = client.read_artifacts(flow_run_filter=page)
                found[flows[run.flow_id]] = {item.key: item for item in artifacts}
    return found


def test_roadmap_shows_its_plan(smoke, pages):
    plan = pages["roadmap"]["plan-roadmap-smoke"]
    rows = json.loads(plan.data)
    assert plan.type == "table"
    assert [row["stage"] for row in rows] == [title for title, _, _ in stage_runs(smoke.output_dir)]
    assert {row["state"] for row in rows} == {"to run"}
    assert f"{len(rows)} of {len(rows)} stages to run" in plan.description


def test_roadmap_shows_how_far_it_is(pages):
    progress = pages["roadmap"]["progress-roadmap-smoke"]
    total = len(json.loads(pages["roadmap"]["plan-roadmap-smoke"].data))
    assert (progress.type, progress.data) == ("progress", 100)
    assert progress.description == f"roadmap smoke: {total} of {total} stages"


@pytest.mark.parametrize(
    ("phase", "key"),
    [
        ("core-results", "progress-train-adapter-polychromic-42"),
        ("core-results", "progress-sample-arm-zero-shot-0"),
        ("core-results", "progress-build-base-model"),
        ("theoretical-depth", "progress-train-grpo-polychromic-grpo-42"),
        ("generalization", "progress-sample-texts-baseline-42"),
    ],
)
def test_training_and_sampling_show_how_far_they_are(pages, phase, key):
    progress = pages[phase][key]
    assert (progress.type, progress.data) == ("progress", 100)
    assert progress.task_run_id is not None


@pytest.mark.parametrize("phase", PHASES)
def test_phase_shows_its_figures_and_table(smoke, pages, phase):
    results = pages[phase][f"results-{phase}-smoke"].data
    figures = re.findall(r"\(http://127\.0\.0\.1:5000/get-artifact\?path=([^)&]+)&run_uuid=([0-9a-f]{32})\)", results)
    assert figures
    for path, run_id in figures:
        (file,) = smoke.output_dir.glob(f"artifacts/*/{run_id}/artifacts/{path}")
        assert file.suffix == ".png"
    assert "| metric | " in results
    assert "polychromic" in results


@pytest.mark.parametrize("flow", ["roadmap", "novel-metrics"])
def test_report_is_linked_with_its_verdict(smoke, pages, flow):
    report = pages[flow]["report-smoke"]
    (_, run_id, _), *_ = parent_runs(smoke.output_dir)
    (path,) = re.search(rf"/#/experiments/\w+/runs/{run_id}/artifacts/([\w./]+)\)", report.data).groups()
    (file,) = smoke.output_dir.glob(f"artifacts/*/{run_id}/artifacts/{path}")
    assert file.name == "report.html"
    assert "social: " in report.data
    assert Path(json.loads(smoke.printed)["novel"]["page"]).name in report.description


def test_keys_are_lower_case_with_dashes(pages):
    keys = [key for page in pages.values() for key in page]
    assert keys
    assert all(re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", key) for key in keys)


def test_pages_are_where_the_environment_says_and_else_at_the_tracking_server(monkeypatch):
    assert pages_address("http://mlflow:5000") == "http://mlflow:5000"
    monkeypatch.setenv("POLYMLOPS_PAGES_URL", "https://somebody:secret@runs.example/mlflow/")
    assert pages_address("http://mlflow:5000") == "https://runs.example/mlflow"
