"""The same roadmap twice: started together, after its clock has jumped, after one of its artifacts was damaged."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest
from books import faults, local_book
from processes import Shell
from short import NAME, TRAINING, short_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def twice(tmp_path_factory, smoke):
    """Output folder after two runs that were started together, and what the two said."""
    folder = tmp_path_factory.mktemp("twice")
    with closing(Shell(folder / "shell")) as shell:
        command = short_run(smoke, folder / "out")
        both = [shell.polymlops(*command) for _ in range(2)]
        assert [started.wait() for started in both] == [0, 0], "".join(started.err for started in both)
        return folder / "out", [started.err for started in both]


def test_one_of_two_runs_started_together_waits_and_finds_all_done(twice, undisturbed):
    output_dir, said = twice
    assert faults(local_book(output_dir, NAME), undisturbed) == []
    waited = [err for err in said if f"{NAME}: waits for the run of that name" in err]
    assert len(waited) == 1
    assert ": begins" not in waited[0]


def _library():
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        pytest.skip("libfaketime is not installed (Debian: faketime)")
    return str(found[0])


def _clock(file):
    """Environment in which the wall clock is off by what a file says, as after a correction; other clocks go on."""
    return {
        "LD_PRELOAD": _library(),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_RESET": "1",
    }


def test_clock_that_jumps_by_a_day_in_training_changes_nothing(shell, smoke, undisturbed, tmp_path):
    file, output_dir = tmp_path / "clock", tmp_path / "out"
    file.write_text("+0")
    started = shell.polymlops(*short_run(smoke, output_dir), **_clock(file))
    started.wait_for(lambda: any(output_dir.glob("work/*/scratch/checkpoints/*/COMPLETE")))
    file.write_text("+1d")
    assert started.wait() == 0, started.err
    book = local_book(output_dir, NAME)
    assert faults(book, undisturbed) == []
    before = book.runs()
    file.write_text("-1d")
    code, again = shell.run(*short_run(smoke, output_dir), **_clock(file))
    assert code == 0, again.err
    assert ": begins" not in again.err
    assert [run.run_id for run in book.runs()] == [run.run_id for run in before]


def test_damaged_artifact_is_named_and_made_again(twice, shell, smoke, undisturbed):
    output_dir, _ = twice
    book = local_book(output_dir, NAME)
    damaged = book.finished()[TRAINING]
    (weights,) = output_dir.glob(f"artifacts/*/{damaged}/artifacts/output/adapter_model.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    shutil.rmtree(output_dir / "cache")
    code, done = shell.run(*short_run(smoke, output_dir))
    assert code == 0, done.err
    (told,) = [line for line in done.err.splitlines() if "runs again" in line]
    assert damaged in told
    assert "adapter_model.safetensors" in told
    assert book.finished()[TRAINING] != damaged
    assert book.files(book.finished()[TRAINING]) == undisturbed.files(undisturbed.finished()[TRAINING])
