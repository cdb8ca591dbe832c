"""Prefect tries a stage again where that can help, with a pause between, and never where not; both UIs say why."""

import json
import sys
from contextlib import closing

import pytest
from processes import Shell

from polymlops.tracking.store import open_store

pytestmark = pytest.mark.slow

SCRIPT = """
import json, sys, time
from flows.services import services
from polymlops.config.profiles import load_config

config = load_config("smoke", ["output_dir=" + sys.argv[1]])
attempts = {"tracking": [], "config": [], "elsewhere": [0]}
with services(config) as prefect:
    from prefect import flow
    from flows.execution import InProcess, tracked
    from polymlops.config.schema import LoraConfig
    from polymlops.errors import ConfigError, TrackingError
    from polymlops.refs import ModelRef
    from polymlops.tracking.stage import Stage
    from tasks.stage_task import stage_task

    @stage_task("flaky")
    def flaky(runner, kind):
        def work(inputs, job):
            job.progress(len(attempts[kind]) + 1, 2, "step")
            attempts[kind].append(time.monotonic())
            if kind == "config":
                raise ConfigError("lambda: wrong")
            if len(attempts[kind]) == 1:
                raise TrackingError("away <b>\\nfor now")
            (job.output / "x").write_text("x")
            return {}

        return runner.run(Stage(kind, LoraConfig(), ModelRef, work))

    @flow
    def experiment(kind):
        with tracked(config, None) as run:
            return InProcess(run, 2)(flaky, kind).run_id

    @flow
    def elsewhere(page):
        with tracked(config, None) as run:
            return InProcess(run, 0, page, ["WorkerLostError: gone"])(flaky, "elsewhere").run_id

    asked = experiment("tracking", return_state=True)
    told = {"run": prefect.settled(asked)}
    told["other"] = prefect.settled(elsewhere(asked.state_details.flow_run_id, return_state=True))
    try:
        prefect.settled(experiment("config", return_state=True))
    except ConfigError as error:
        message = str(error)

    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    with get_client(sync_client=True) as client:
        page = FlowRunFilter(id=FlowRunFilterId(any_=[asked.state_details.flow_run_id]))
        told["artifacts"] = [item.model_dump(mode="json") for item in client.read_artifacts(flow_run_filter=page)]
        told["states"] = [item.state.message for item in client.read_task_runs(flow_run_filter=page)]
print(json.dumps({**attempts, **told, "message": message}))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("retries")
    script = folder / "script.py"
    script.write_text(SCRIPT)
    with closing(Shell(folder / "shell")) as shell:
        started = shell.start(sys.executable, str(script), str(folder / "out"))
        assert started.wait() == 0, started.err
        return json.loads(started.out.splitlines()[-1]) | {"store": f"sqlite:///{folder / 'out' / 'mlflow.db'}"}


def test_transient_failure_is_tried_again_and_a_config_error_is_not(told):
    first, second = told["tracking"]
    assert second - first > 1
    assert len(told["config"]) == 1
    assert told["message"] == "lambda: wrong"


def test_reason_is_in_both_uis(told):
    assert told["states"][0].endswith("attempt 2 after TrackingError: away <b> for now")
    tags = open_store(told["store"]).get_run(told["run"]).data.tags
    assert (tags["attempt"], tags["retried_after"]) == ("2", "TrackingError: away <b> for now")
    tags = open_store(told["store"]).get_run(told["other"]).data.tags
    assert (tags["attempt"], tags["retried_after"]) == ("2", "WorkerLostError: gone")


def test_progress_is_on_the_page_of_the_flow_that_asked(told):
    newest_last = sorted(told["artifacts"], key=lambda item: item["created"])  # an attempt has its own
    progress = {item["key"]: item for item in newest_last if item["type"] == "progress"}
    assert set(progress) == {"progress-tracking", "progress-elsewhere"}
    assert {item["data"] for item in progress.values()} == {100}
    assert progress["progress-tracking"]["description"] == "tracking: 2 of 2 steps"
    assert all(item["task_run_id"] for item in progress.values())
