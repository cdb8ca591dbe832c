"""Runs that a process left open are closed, those of living processes are not, and nothing is made twice."""

from __future__ import annotations

import multiprocessing
import time

import pytest

from polymlops.config.schema import LoraConfig
from polymlops.refs import ModelRef, ReportRef
from polymlops.tracking import ledger
from polymlops.tracking.abandoned import KILLED_HERE, close_abandoned, held, unsettled
from polymlops.tracking.stage import Stage
from polymlops.tracking.tables import record_table


@pytest.fixture
def open_run(book):
    """Opens a run of a stage's, or of what the tags say."""

    def begin(**tags):
        return ledger.begin_run(book.client, book.context.experiment_id, tags or {ledger.STAGE_KEY: "key"}, {})

    return begin


def _hold(output_dir, run_id):
    with held(output_dir, run_id):
        time.sleep(600)


def test_run_of_a_killed_process_is_closed_and_that_of_a_living_one_is_not(book, open_run):
    living, dead = open_run(), open_run()
    folder = book.context.output_dir
    process = multiprocessing.get_context("fork").Process(target=_hold, args=(folder, dead))
    process.start()
    lock = folder / "locks" / f"run-{dead}.lock"
    while not lock.exists():
        time.sleep(0.01)
    with held(folder, living):
        assert close_abandoned(book.client, folder) == []
        process.kill()
        process.join()
        (closed,) = close_abandoned(book.client, folder)
    assert (closed.run_id, closed.reason) == (dead, KILLED_HERE)
    assert book.run(living).info.status == "RUNNING"
    assert book.run(dead).info.status == "KILLED"
    assert book.run(dead).data.tags[ledger.ERROR] == KILLED_HERE


def test_run_of_another_machine_is_closed_where_its_flow_run_has_ended(book, open_run):
    runs = {flow: open_run(**{ledger.ROADMAP_KEY: "key", ledger.FLOW_RUN: flow}) for flow in ("crashed", "alive")}
    unknown = open_run()
    folder = book.context.output_dir
    assert close_abandoned(book.client, folder) == []
    reasons = {"crashed": "its flow run is Crashed"}
    (closed,) = close_abandoned(book.client, folder, reasons.get)
    assert (closed.run_id, closed.reason) == (runs["crashed"], "its flow run is Crashed")
    assert [run.info.run_id for run in unsettled(book.client)] == [runs["crashed"]]
    assert [book.run(run).info.status for run in (runs["alive"], unknown)] == ["RUNNING", "RUNNING"]


def test_runs_that_are_not_ours_stay(book):
    run_id = str(book.client.create_run(book.context.experiment_id).info.run_id)
    lock = book.context.output_dir / "locks" / f"run-{run_id}.lock"
    lock.parent.mkdir()
    lock.touch()
    assert close_abandoned(book.client, book.context.output_dir) == []
    assert book.run(run_id).info.status == "RUNNING"


def test_the_arm_runs_of_a_killed_roadmap_are_closed_with_it(book, open_run):
    parent = open_run(**{ledger.ROADMAP_KEY: "key"})
    arm = open_run(**{ledger.ROLE: "arm", ledger.PARENT: parent})
    lock = book.context.output_dir / "locks" / f"run-{parent}.lock"
    lock.parent.mkdir()
    lock.touch()
    assert {run.run_id for run in close_abandoned(book.client, book.context.output_dir)} == {parent, arm}


def test_stage_that_two_machines_do_at_once_is_finished_once(book, tmp_path):
    other = book.context.model_copy(update={"output_dir": tmp_path / "elsewhere"})
    outcomes = []

    def work(_folders, job):
        if not outcomes:
            outcomes.append(None)
            outcomes.append(other.run(Stage("slow", LoraConfig(), ModelRef, work)))
        (job.output / "x").write_text("x")
        return {}

    late = book.context.run(Stage("slow", LoraConfig(), ModelRef, work))
    assert (outcomes[1].cached, late.cached) == (False, True)
    assert late.ref == outcomes[1].ref
    runs = ledger.search(book.client, "tags.stage = 'slow'")
    assert sorted(run.info.status for run in runs) == ["FINISHED", "KILLED"]
    (given_way,) = [run for run in runs if run.info.status == "KILLED"]
    assert given_way.data.tags[ledger.SUPERSEDED_BY] == late.ref.run_id


def test_run_that_a_dying_server_made_unheard_is_deleted(book, monkeypatch):
    """As MLflow's client does it: the answer to the first request is lost, and the request is sent again."""
    create = book.client.create_run

    def twice(*args, **kwargs):
        create(*args, **kwargs)
        return create(*args, **kwargs)

    monkeypatch.setattr(book.client, "create_run", twice)
    run_id = ledger.begin_run(book.client, book.context.experiment_id, {"stage": "unheard"}, {})
    assert [run.info.run_id for run in ledger.search(book.client, "tags.stage = 'unheard'")] == [run_id]


def test_arm_whose_recording_was_killed_has_every_value_once(book):
    def work(_folders, job):
        row = '{"arm": "a", "metric": "pass_at_1", "value": 0.5, "low": 0.4, "high": 0.6, "n": 10}'
        (job.output / "table.json").write_text(f"[{row}]")
        return {}

    report = book.context.run(Stage("report", LoraConfig(), ReportRef, work)).ref
    record_table(book.context, report, "social")
    (arm,) = ledger.search(book.client, "tags.role = 'arm'")
    book.client.delete_tag(arm.info.run_id, f"report.{report.digest[:16]}")  # killed before it was set
    time.sleep(0.01)
    record_table(book.context, report, "social")
    assert len(book.client.get_metric_history(arm.info.run_id, "social/pass_at_1")) == 1
