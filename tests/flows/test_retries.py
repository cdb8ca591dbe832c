"""Prefect tries a stage again where that can help, with a pause between, and never where it cannot."""

import json
import sys

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import json, sys, time
from flows.services import services
from polymlops.config.profiles import load_config

config = load_config("smoke", ["output_dir=" + sys.argv[1]])
attempts = {"tracking": [], "config": []}
with services(config) as prefect:
    from prefect import flow
    from flows.execution import in_process, tracked
    from polymlops.config.schema import LoraConfig
    from polymlops.errors import ConfigError, TrackingError
    from polymlops.refs import ModelRef
    from polymlops.tracking.stages import Stage
    from tasks.policy import as_state, stage_task

    @stage_task("flaky")
    def flaky(runner, kind):
        def work(inputs, job):
            attempts[kind].append(time.monotonic())
            if kind == "config":
                raise ConfigError("lambda: wrong")
            if len(attempts[kind]) == 1:
                raise TrackingError("away")
            (job.output / "x").write_text("x")
            return {}

        return as_state(runner.run(Stage(kind, LoraConfig(), ModelRef, work)))

    @flow
    def experiment(kind):
        with tracked(config, None) as run:
            return in_process(run, 2)(flaky, kind).digest

    prefect.settled(experiment("tracking", return_state=True))
    try:
        prefect.settled(experiment("config", return_state=True))
    except ConfigError as error:
        message = str(error)
print(json.dumps({**attempts, "message": message}))
"""


def test_transient_failure_is_tried_again_and_a_config_error_is_not(shell, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    started = shell.start(sys.executable, str(script), str(tmp_path / "out"))
    assert started.wait() == 0, started.err
    told = json.loads(started.out.splitlines()[-1])
    first, second = told["tracking"]
    assert second - first > 1
    assert len(told["config"]) == 1
    assert told["message"] == "lambda: wrong"
