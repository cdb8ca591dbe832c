"""SIGKILL in the middle of training and of sampling: the next run goes on there, and nothing in the result shows it."""

from __future__ import annotations

import re
import shutil
import signal
import sqlite3
from contextlib import closing
from dataclasses import dataclass

import pytest
from books import Book, Run, faults, local_book
from processes import PROFILE, Shell, are_gone
from short import NAME, SAMPLING, TRAINING, short_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@dataclass
class Killed:
    """A ledger after both kills and a run to the end, and what was seen on the way."""

    book: Book
    after_first: list[Run]
    after_doctor: list[Run]
    after_second: list[Run]
    newest: int  # step of the last whole checkpoint of the first run
    second_err: str
    open_flow_runs: list[str]


def _is_open(book, title):
    return any(run.name == title and run.status == "RUNNING" for run in book.runs())


def _checkpoints(output_dir):
    return [path.parent for path in output_dir.glob("work/*/scratch/checkpoints/*/COMPLETE")]


def _step(checkpoint):
    return int(checkpoint.name.split("-")[1])


def _break_newer(checkpoint):
    """What a kill in the middle of writing leaves after this checkpoint, and what a lost disk cache leaves."""
    for step, marked in ((_step(checkpoint) + 1, False), (_step(checkpoint) + 2, True)):
        newer = shutil.copytree(checkpoint, checkpoint.with_name(f"checkpoint-{step}"))
        weights = newer / "adapter_model.safetensors"
        weights.write_bytes(weights.read_bytes()[:100])
        if not marked:
            (newer / "COMPLETE").unlink()


@pytest.fixture(scope="module")
def killed(tmp_path_factory, smoke):
    folder = tmp_path_factory.mktemp("killed")
    output_dir, book = folder / "out", local_book(folder / "out", NAME)
    command = short_run(smoke, output_dir)
    with closing(Shell(folder / "shell")) as shell:
        first = shell.polymlops(*command)
        first.wait_for(lambda: _is_open(book, TRAINING) and _checkpoints(output_dir))
        children = first.children
        assert first.kill() == -signal.SIGKILL
        assert children
        assert are_gone(children)
        after_first = book.runs()
        _code, doctor = shell.run("doctor", PROFILE, "--set", f"output_dir={output_dir}")
        assert "killed runs: closed: " in doctor.out
        after_doctor = book.runs()
        newest = max(_checkpoints(output_dir), key=_step)
        _break_newer(newest)
        second = shell.polymlops(*command)
        second.wait_for(lambda: _is_open(book, SAMPLING) and any(output_dir.glob("work/*/scratch/shard-*.parquet")))
        assert second.kill() == -signal.SIGKILL
        after_second = book.runs()
        code, third = shell.run(*command)
        assert code == 0, third.err
    assert list((output_dir / "work").iterdir()) == []
    with closing(sqlite3.connect(output_dir / "prefect" / "prefect.db")) as database:
        states = database.execute("select name from flow_run where state_type in ('PENDING', 'RUNNING')").fetchall()
    return Killed(book, after_first, after_doctor, after_second, _step(newest), second.err, states)


def test_nothing_is_lost_or_doubled(killed, undisturbed):
    assert faults(killed.book, undisturbed) == []


def test_the_kills_hit_training_and_sampling(killed):
    assert [run.name for run in killed.after_first if run.status == "RUNNING"] == [NAME, TRAINING]
    assert [run.name for run in killed.after_second if run.status == "RUNNING"] == [NAME, SAMPLING]


def test_doctor_closes_what_the_killed_run_left_open(killed):
    assert {run.name: run.status for run in killed.after_doctor} == {NAME: "KILLED", TRAINING: "KILLED"}


def test_no_flow_run_is_left_running(killed):
    assert killed.open_flow_runs == []


def test_broken_checkpoints_are_passed_over(killed):
    passed = re.findall(r"checkpoint-(\d+) is passed over: (.*)", killed.second_err)
    steps, reasons = zip(*passed, strict=True)
    assert [int(step) for step in steps] == [killed.newest + 2, killed.newest + 1]
    assert re.fullmatch(r"adapter_model.safetensors has 100 bytes, not \d+", reasons[0])
    assert reasons[1] == "it was not written to its end"


def test_training_went_on_and_finished_runs_stay(killed):
    statuses = [run.status for run in killed.book.runs() if run.name == TRAINING]
    assert statuses == ["KILLED", "FINISHED"]
    for run in killed.after_second:
        if run.status == "FINISHED":
            assert run in killed.book.runs()
    assert [run.status for run in killed.book.runs() if run.name == NAME] == ["FINISHED"]
