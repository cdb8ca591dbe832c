"""Every stage of a roadmap can be asked for as JSON, and is then the same stage."""

import json
from contextlib import suppress
from pathlib import Path

import pytest

from flows import stage_run
from flows.calls import Planned
from flows.phases import novel_stages
from flows.pools import STAGES, pool_of, stage_named
from flows.stage_requests import dump_arguments, load_arguments, on_machine
from flows.stored import named_results
from polymlops.config.profiles import load_config
from polymlops.errors import StageError
from polymlops.refs import ModelRef
from polymlops.tracking.plans import PlanContext
from polymlops.tracking.prices import Prices
from polymlops.tracking.stage import Stage

REF = ModelRef(run_id="r", uri="u", digest="d")


class _Stop(Exception):
    pass


class _Keys:
    def __init__(self):
        self.key = ""

    def run(self, stage: Stage):
        self.key = stage.key()
        raise _Stop


def _key(task, *args, **kwargs):
    keys = _Keys()
    with suppress(_Stop):
        task.fn(keys, *args, **kwargs)
    return keys.key


@pytest.fixture(scope="module")
def calls():
    """(task, args, kwargs) of every stage of a roadmap, with code arms."""
    config = load_config("smoke", ["code_grpo.objectives={mean: {objective: mean, k: 1, baseline: mean}}"])
    made, plan = [], Planned(PlanContext(None, None, Prices(gpu=0, cpu=0)))

    def call(task, /, *args, **kwargs):
        made.append((task, args, kwargs))
        return plan(task, *args, **kwargs)

    novel_stages(call, config, named_results(call, config))
    return made


def test_roadmap_has_every_stage_of_the_pools(calls):
    assert {task.name for task, *_ in calls} == {task.name for task in STAGES}


def test_arguments_survive_json_with_the_same_key(calls):
    for task, args, kwargs in calls:
        sent = json.loads(json.dumps(dump_arguments(task, args, kwargs)))
        assert _key(task, **load_arguments(stage_named(task.name), sent)) == _key(task, *args, **kwargs) != "", (
            task.name
        )


def test_argument_of_another_version_is_an_error():
    task = stage_named("build_base_model")
    with pytest.raises(StageError, match="takes no depth"):
        load_arguments(task, {"depth": 3})


def test_stage_of_another_version_is_an_error():
    with pytest.raises(StageError, match="no stage train_everything here"):
        stage_named("train_everything")


def test_worker_with_another_source_is_refused_before_it_works(calls):
    task, args, kwargs = next(call for call in calls if call[0].name == "train_adapter")
    task.fn(stage_run.KeyCheck(_key(task, *args, **kwargs)), *args, **kwargs)
    with pytest.raises(StageError, match="install one version of polymlops"):
        task.fn(stage_run.KeyCheck("0123456789abcdef"), *args, **kwargs)


def test_pools():
    assert (pool_of("train_grpo"), pool_of("score_samples")) == ("gpu", "cpu")


def test_files_that_are_no_artifacts_are_those_of_the_worker(calls):
    task, args, kwargs = next(call for call in calls if call[0].name == "score_texts")
    sent = load_arguments(task, json.loads(json.dumps(dump_arguments(task, args, kwargs))))
    there = on_machine(sent, Path("/worker"))
    assert there["sources"].verdicts == Path("/worker") / sent["sources"].verdicts.name
    assert _key(task, **there) == _key(task, *args, **kwargs)
