"""Both UIs in a real browser on a finished run: what matters is there, as text; and the pictures for the README.

`pytest tests/flows/test_ui_browser.py --finished-run polymlops-runs --save-screenshots docs/img` takes them of the
newest roadmap in that output folder; both UIs then need their usual ports, to which the links of figures lead.
"""

import json
import re
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from browsing import Browser, browser, needs_browser
from ledgers import parent_runs
from processes import Shell

pytestmark = [pytest.mark.slow, needs_browser]
WIDTH, HEIGHT = 1400, 900
# What the two UIs ask for in vain by themselves, and the figures where MLflow has another port than `ui` gives it.
THEIRS = ("/favicon.ico", "/ico/undefined.svg", "/users/current", "ResizeObserver loop", "127.0.0.1:5000/get-artifact")


# MLflow opens a panel beside everything else at the first visit, unless it remembers that the panel was closed.
PANEL_CLOSED = """
localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
"""


@dataclass(frozen=True)
class Site:
    """Both UIs on one finished run."""

    name: str
    prefect: str
    mlflow: str
    roadmap: str
    experiment: str
    arms: dict[str, str]


@pytest.fixture(scope="module")
def finished(request, tmp_path_factory):
    """An output folder of its own with a finished roadmap."""
    given = request.config.getoption("--finished-run")
    found = Path(given) if given else request.getfixturevalue("smoke").output_dir
    return Path(shutil.copytree(found, tmp_path_factory.mktemp("uis") / "out"))


@pytest.fixture(scope="module")
def site(request, finished, tmp_path_factory):
    ports = [] if request.config.getoption("--save-screenshots") else ["--prefect-port", "0", "--mlflow-port", "0"]
    name, run_id, _ = parent_runs(finished)[-1]
    with closing(Shell(tmp_path_factory.mktemp("shell"))) as shell:
        started = shell.polymlops("ui", "smoke", "--set", f"output_dir={finished}", *ports)
        started.wait_for(lambda: len(re.findall(r"http://\S+", started.out)) == 2)
        prefect, mlflow = re.findall(r"http://\S+", started.out)
        with sqlite3.connect(finished / "mlflow.db") as database:
            (experiment,) = database.execute("select experiment_id from runs where run_uuid = ?", [run_id]).fetchone()
            query = (
                "select a.value, r.run_uuid from runs r join tags a on a.run_uuid = r.run_uuid and a.key = 'arm'"
                " join tags o on o.run_uuid = r.run_uuid and o.key = 'role' and o.value = 'arm'"
                " join tags p on p.run_uuid = r.run_uuid and p.key = 'mlflow.parentRunId' and p.value = ?"
                " order by r.start_time"
            )
            arms = dict(database.execute(query, [run_id]).fetchall())
        yield Site(name, prefect, mlflow, _roadmap(prefect, name), str(experiment), arms)


def _roadmap(prefect: str, name: str) -> str:
    asked = {
        "flows": {"name": {"any_": ["roadmap"]}},
        "flow_runs": {"name": {"any_": [name]}},
        "sort": "START_TIME_ASC",
    }
    return httpx.post(f"{prefect}/api/flow_runs/filter", json=asked, timeout=120).json()[0]["id"]


@pytest.fixture(scope="module")
def window():
    with browser(WIDTH, HEIGHT) as found:
        yield found


@pytest.fixture
def save(request, window: Browser):
    """Saves the window where pictures were asked for."""
    folder = request.config.getoption("--save-screenshots")
    return lambda name: window.save(Path(folder) / name) if folder else None


def unexpected(window: Browser) -> list[str]:
    return [error for error in window.errors() if not any(part in error for part in THEIRS)]


def test_prefect_shows_the_roadmap_and_its_artifacts(site, window, save):
    page = f"{site.prefect}/runs/flow-run/{site.roadmap}"
    text = window.open(page, "Artifacts", "Completed")
    assert site.name in text
    window.click("Artifacts", f"plan-roadmap-{site.name}", f"progress-roadmap-{site.name}", f"report-{site.name}")
    save("prefect_roadmap.png")
    assert unexpected(window) == []
    assert window.hosts() <= {"127.0.0.1"}


def test_prefect_shows_the_figures_and_numbers_of_a_phase(site, window, save):
    wanted = {"artifacts": {"key": {"any_": [f"results-core-results-{site.name}"]}}}
    found = httpx.post(f"{site.prefect}/api/artifacts/filter", json=wanted, timeout=120).json()
    text = window.open(f"{site.prefect}/artifacts/artifact/{found[0]['id']}", "pass_at_k.png", "pass_at_1")
    assert "polychromic" in text
    save("prefect_results.png")
    assert unexpected(window) == []
    assert window.hosts() <= {"127.0.0.1"}


def test_mlflow_compares_the_arms(site, window, save):
    runs, experiments = quote(json.dumps(list(site.arms.values()))), quote(json.dumps([site.experiment]))
    window.driver.get(site.mlflow)
    window.driver.execute_script(PANEL_CLOSED)
    address = f"{site.mlflow}/#/compare-runs?runs={runs}&experiments={experiments}"
    text = window.open(address, "social/pass_at_1", *site.arms)
    named = re.findall(r"^\w+/\w+$", text, re.MULTILINE)  # of the rows in sight, and what the plot shows
    assert len(named) > 5
    window.scroll_to("Metrics")
    save("mlflow_compare.png")
    assert unexpected(window) == []
    assert window.hosts() <= {"127.0.0.1"}


def test_mlflow_lists_the_arms_by_a_metric(site, window):
    """By the time of their start, which is what it does unasked, MLflow folds runs into those that began them."""
    search, metric = quote("tags.role = 'arm'"), quote("metrics.`social/pass_at_1`")
    address = f"{site.mlflow}/#/experiments/{site.experiment}/runs?searchFilter={search}"
    window.open(f"{address}&orderByKey={metric}&orderByAsc=false", *site.arms)
    assert unexpected(window) == []
    assert window.hosts() <= {"127.0.0.1"}
