"""A roadmap on a real Prefect server, a real MLflow server and two workers that share nothing but these two."""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from processes import PROFILE, Shell, Started

from flows.children import LOOPBACK, answers, free_port
from flows.environment import QUIET

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
RUN_TIMEOUT_S = 1700  # minutes of start-up for each stage, where other work shares the cores
CONFIG = ("name=pools", "arms=[baseline]", "execution.mode=pools")
SLOT_FREE_S = 240  # promised within 90 where the machine is free; a lease lasts 60
GPU = {"build_base_model", "train_adapter baseline/42", "sample_arm baseline/42"}
CPU = {"prepare_dataset", "score_samples baseline/42", "write_core_results"}


@dataclass
class Site:
    """Two servers and a place from which commands are given."""

    shell: Shell
    folder: Path
    prefect: str
    mlflow: str
    workers: dict[str, Started] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Of everything that talks to the servers; each process gets a Prefect folder of its own."""
        name = f"home-{len(self.shell.started)}"
        home = {"PREFECT_HOME": str(self.folder / name)}
        return QUIET | home | {"PREFECT_API_URL": f"{self.prefect}/api", "MLFLOW_TRACKING_URI": self.mlflow}

    def polymlops(self, *arguments: str) -> tuple[int, Started]:
        """Give a command."""
        return self.shell.run(*arguments, **self.environment)

    def run(self, *settings: str) -> tuple[int, Started]:
        """Run phase 1 from a folder of its own."""
        started = self.start(*settings)
        return started.wait(RUN_TIMEOUT_S), started

    def start(self, *settings: str) -> Started:
        """Start such a run."""
        values = (*CONFIG, f"tracking.uri={self.mlflow}", f"output_dir={self.folder / 'client'}", *settings)
        options = [option for value in values for option in ("--set", value)]
        return self.shell.polymlops("run", PROFILE, "--phase", "1", *options, **self.environment)

    def worker(self, pool: str) -> Started:
        """Start a worker with a working directory and caches of its own."""
        place = {"POLYMLOPS_WORKDIR": str(self.place(pool)), "PREFECT_WORKER_QUERY_SECONDS": "2"}
        command = (sys.executable, "-m", "prefect", "worker", "start", "--pool", pool)
        return self.shell.start(*command, **self.environment, **place)

    def place(self, pool: str) -> Path:
        """Folder of a pool's worker."""
        return self.folder / f"worker-{pool}"

    def cached(self, pool: str) -> set[str]:
        """Digests in a worker's cache."""
        return {path.name for path in self.place(pool).glob("polymlops-runs/cache/*")}

    def stage_runs(self) -> list[dict[str, str]]:
        """Every flow run of a stage."""
        wanted = {"flows": {"name": {"any_": ["stage"]}}}
        return self.answer("POST", "flow_runs/filter", json=wanted)

    def answer(self, method: str, path: str, **asked: Any) -> Any:
        """Of the Prefect API; its SQLite file may be locked for a moment."""
        for _ in range(10):
            with suppress(httpx.TransportError):
                answer = httpx.request(method, f"{self.prefect}/api/{path}", timeout=60, **asked)
                if answer.status_code < 500:
                    return answer.json()
            time.sleep(2)
        raise AssertionError(f"{path}: no answer")

    def mlflow_runs(self, condition: str) -> list[dict]:
        """Runs that meet a condition."""
        found = httpx.get(f"{self.mlflow}/api/2.0/mlflow/experiments/search", params={"max_results": 100}, timeout=60)
        ids = [experiment["experiment_id"] for experiment in found.json()["experiments"]]
        asked = {"experiment_ids": ids, "filter": condition}
        return httpx.post(f"{self.mlflow}/api/2.0/mlflow/runs/search", json=asked, timeout=60).json().get("runs", [])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    prefect_port, mlflow_port = free_port(), free_port()
    with closing(Shell(folder / "shell")) as shell:
        made = Site(shell, folder, f"http://{LOOPBACK}:{prefect_port}", f"http://{LOOPBACK}:{mlflow_port}")
        environment = QUIET | {
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
        }
        command = ("prefect", "server", "start", "--host", LOOPBACK, "--port", str(prefect_port))
        prefect = shell.start(sys.executable, "-m", *command, **environment)
        database = f"sqlite:///{folder / 'mlflow.db'}"
        assert shell.start(sys.executable, "-m", "mlflow", "db", "upgrade", database, **QUIET).wait() == 0
        command = ("mlflow", "server", "--host", LOOPBACK, "--port", str(mlflow_port), "--workers", "1")
        command += ("--backend-store-uri", database, "--artifacts-destination", (folder / "artifacts").as_uri())
        mlflow = shell.start(sys.executable, "-m", *command, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", **QUIET)
        prefect.wait_for(lambda: answers(f"{made.prefect}/api/health"))
        mlflow.wait_for(lambda: answers(f"{made.mlflow}/health"))
        yield made
        for worker in made.workers.values():
            worker.kill_all()  # started in the background, it may have been told to ignore what ends it


@pytest.fixture(scope="module")
def deployed(site):
    """The site after `deploy`, with what it printed."""
    code, done = site.polymlops("deploy")
    assert code == 0, done.err
    return site, done.out.splitlines()


@pytest.fixture(scope="module")
def pooled(deployed):
    """The site after a run whose stages went to two workers."""
    site, _ = deployed
    site.workers["gpu"], site.workers["cpu"] = site.worker("gpu"), site.worker("cpu")
    code, done = site.run()
    assert code == 0, done.err
    return site


def test_deploy_makes_everything_once_and_check_tells_the_difference(deployed):
    site, printed = deployed
    assert {line.split()[0] for line in printed} == {"created"}
    assert "created deployment roadmap/nightly-smoke" in printed
    for arguments, code, told in (
        (("deploy",), 0, ["nothing to change"]),
        (("deploy", "--check", "--gpus", "3"), 1, ["concurrency limit gpu differs in limit"]),
    ):
        found, done = site.polymlops(*arguments)
        assert (found, done.out.splitlines()) == (code, told), done.err
    there = httpx.get(f"{site.prefect}/api/deployments/name/roadmap/roadmap-demo", timeout=60).json()
    changed = httpx.patch(f"{site.prefect}/api/deployments/{there['id']}", json={"description": "?"}, timeout=60)
    assert changed.status_code == 204
    code, done = site.polymlops("deploy")
    assert (code, done.out.splitlines()) == (0, ["changed deployment roadmap/roadmap-demo: description"]), done.err


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"lora": {"r": 0}}, "config.lora.r"),
        ({"lora": {"rank": 4}}, "rank"),
        ({"sft": {"batch": "many"}}, "config.sft.batch"),
    ],
    ids=str,
)
def test_wrong_parameter_is_refused_when_the_flow_run_is_created(deployed, change, told):
    site, _ = deployed
    there = httpx.get(f"{site.prefect}/api/deployments/name/roadmap/roadmap-demo", timeout=60).json()
    asked = {"parameters": {"config": there["parameters"]["config"] | change}}
    answer = httpx.post(f"{site.prefect}/api/deployments/{there['id']}/create_flow_run", json=asked, timeout=60)
    assert answer.status_code == 409
    assert told in answer.json()["detail"]


def test_submit_refuses_with_the_message_of_the_schema(deployed):
    site, _ = deployed
    code, done = site.polymlops("submit", "roadmap-demo", "demo", "--set", "sampling.n=4", "--set", "sft.batch=15")
    assert code == 2
    assert "batch 15 is not a multiple of micro_batch 16" in done.err
    code, done = site.polymlops("submit", "roadmap", "demo")
    assert (code, "no such deployment; there are nightly-smoke" in done.err) == (2, True)


def test_submit_creates_a_scheduled_run(deployed):
    site, _ = deployed
    code, done = site.polymlops("submit", "core-results", PROFILE, "--set", "name=later", "--json")
    assert code == 0, done.err
    run = json.loads(done.out)
    found = httpx.get(f"{site.prefect}/api/flow_runs/{run['id']}", timeout=60).json()
    assert found["parameters"]["config"]["name"] == "later"
    httpx.delete(f"{site.prefect}/api/flow_runs/{run['id']}", timeout=60)


def test_stages_land_on_their_pools(pooled):
    runs = pooled.stage_runs()
    assert {run["name"] for run in runs if run["work_pool_name"] == "gpu"} == GPU
    assert {run["name"] for run in runs if run["work_pool_name"] == "cpu"} == CPU
    assert {run["state_type"] for run in runs} == {"COMPLETED"}
    assert all(run["parent_task_run_id"] for run in runs)  # each is shown below the roadmap


def test_nothing_is_shared_but_the_servers(pooled):
    """Each worker has what its stages made or read, and the client what it shows."""
    digests = {}
    for run in pooled.mlflow_runs("attributes.status = 'FINISHED'"):
        tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
        if "digest" in tags:
            digests[tags["mlflow.runName"]] = tags["digest"]
    assert set(digests) == GPU | CPU
    assert pooled.cached("gpu") == {digests[name] for name in (*GPU, "prepare_dataset")}
    assert pooled.cached("cpu") == {
        digests[name] for name in (*CPU, "build_base_model", "sample_arm baseline/42", "train_adapter baseline/42")
    }
    client = {path.name for path in (pooled.folder / "client" / "cache").iterdir()}
    assert client == {digests["write_core_results"]}


def test_what_workers_do_is_on_the_page_of_the_flow_that_asked(pooled):
    page = {"flow_runs": {"name": {"any_": ["pools"]}}}
    found = httpx.post(f"{pooled.prefect}/api/artifacts/filter", json=page, timeout=60).json()
    keys = {artifact["key"] for artifact in found}
    assert {"plan-core-results-pools", "progress-core-results-pools", "results-core-results-pools"} <= keys
    assert {"progress-train-adapter-baseline-42", "progress-sample-arm-baseline-42"} <= keys


def test_second_run_asks_no_worker(pooled):
    before = len(pooled.stage_runs())
    code, done = pooled.run()
    assert code == 0, done.err
    assert len(pooled.stage_runs()) == before
    assert done.err.count(": cached") == len(GPU | CPU)


def test_failed_stage_is_named_with_its_reason_and_tried_once(pooled):
    code, done = pooled.run("lora.target_modules=[no_such_module]")
    assert code == 1
    assert "train_adapter baseline/42 on pool gpu" in done.err
    assert "check lora.target_modules" in done.err
    failed = pooled.mlflow_runs("attributes.status = 'FAILED' and tags.stage = 'train_adapter'")
    assert len(failed) == 1
    (told,) = [tag["value"] for tag in failed[0]["data"]["tags"] if tag["key"] == "error"]
    assert told.startswith("TrainingError: baseline: nothing to train")


def _active_gpu_slots(site):
    return site.answer("GET", "v2/concurrency_limits/gpu")["active_slots"]


@pytest.mark.long
def test_worker_that_is_killed_is_noticed_and_its_stage_done_by_another(pooled):
    """SIGKILL of a worker and of its flow run: the run is marked, its slot freed, its MLflow run closed."""
    title = "train_adapter baseline/7"
    roadmap = pooled.start("seeds=[7]", "sft.epochs=4")
    roadmap.wait_for(lambda: pooled.mlflow_runs(f"attributes.status = 'RUNNING' and tags.mlflow.runName = '{title}'"))
    assert _active_gpu_slots(pooled) == 1
    pooled.workers["gpu"].kill_all()
    killed = time.monotonic()
    roadmap.wait_for(lambda: _active_gpu_slots(pooled) == 0)
    assert time.monotonic() - killed < SLOT_FREE_S
    pooled.workers["gpu"] = pooled.worker("gpu")
    assert roadmap.wait(RUN_TIMEOUT_S) == 0, roadmap.err
    states = [run["state_type"] for run in pooled.stage_runs() if run["name"] == title]
    assert sorted(states) == ["COMPLETED", "CRASHED"]
    runs = pooled.mlflow_runs(f"tags.mlflow.runName = '{title}'")
    assert sorted(run["info"]["status"] for run in runs) == ["FINISHED", "KILLED"]
    assert pooled.mlflow_runs("attributes.status = 'RUNNING'") == []
    assert _active_gpu_slots(pooled) == 0
    healthy = {run["state_type"] for run in pooled.stage_runs() if run["name"] != title}
    assert "CRASHED" not in healthy
