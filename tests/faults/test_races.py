"""The same roadmap twice: started together, after its clock has jumped, after one of its artifacts was damaged."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from books import faults, local_book
from processes import Shell
from short import NAME, TRAINING, short_run

DAY_S = 86_400
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


@dataclass(frozen=True)
class Clock:
    """The wall clock of the processes that are started with `environment`."""

    library: Path
    file: Path

    def jump(self, seconds):
        """Set how far it is off."""
        with self.file.open("r+b") as file:  # mapped by those who read it
            file.write(struct.pack("=q", seconds))

    @property
    def environment(self):
        return {"LD_PRELOAD": str(self.library), "CLOCK_OFFSET": str(self.file)}


@pytest.fixture
def clock(tmp_path):
    if shutil.which("cc") is None:
        pytest.skip("cc, a C compiler, is not installed")
    library, source = tmp_path / "clock.so", Path(__file__).with_name("clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    (tmp_path / "offset").write_bytes(bytes(8))
    return Clock(library, tmp_path / "offset")


def test_the_clock_jumps_and_sleep_goes_on(shell, clock):
    script = "import time, datetime as d; print(time.time()); time.sleep(0.1); print(d.datetime.now().timestamp())"
    clock.jump(DAY_S)
    started = shell.start(sys.executable, "-c", script, **clock.environment)
    assert started.wait() == 0, started.err
    assert all(abs(float(line) - time.time() - DAY_S) < 3600 for line in started.out.split())


@pytest.mark.long
def test_clock_that_jumps_by_a_day_in_training_and_back_changes_nothing(shell, smoke, undisturbed, clock, tmp_path):
    output_dir = tmp_path / "out"
    started = shell.polymlops(*short_run(smoke, output_dir), **clock.environment)
    started.wait_for(lambda: any(output_dir.glob("work/*/scratch/checkpoints/*/COMPLETE")))
    clock.jump(DAY_S)
    assert started.wait() == 0, started.err
    book = local_book(output_dir, NAME)
    assert faults(book, undisturbed) == []
    before = book.runs()
    clock.jump(-DAY_S)
    code, again = shell.run(*short_run(smoke, output_dir), **clock.environment)
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
    told = [line for line in done.err.splitlines() if "runs again" in line]  # the plan says it, and the run
    assert told
    assert all(damaged in line and "adapter_model.safetensors" in line for line in told)
    assert book.finished()[TRAINING] != damaged
    assert book.files(book.finished()[TRAINING]) == undisturbed.files(undisturbed.finished()[TRAINING])
