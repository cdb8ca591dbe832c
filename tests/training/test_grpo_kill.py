"""A GRPO run that SIGKILL ends amid its steps and that is started again: its adapter is the undisturbed run's."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from grpo_parts import job_in, long_run

from polymlops.models.checkpoints import latest_complete

STEPS = 30
PARTS = Path(__file__).with_name("grpo_parts.py")
SECONDS = 240  # of patience, in all


@pytest.fixture
def begin(small_base, few_rows, start):
    """Starts a training process in a folder; none is left behind."""
    begun: list[subprocess.Popen[str]] = []

    def run(folder):
        command = [sys.executable, PARTS, small_base, start, few_rows, folder, STEPS]
        process = subprocess.Popen([str(part) for part in command], stderr=subprocess.PIPE, text=True)
        begun.append(process)
        return process

    yield run
    for process in begun:
        process.kill()
        process.communicate()


def steps_seen(folder):
    path = folder / "steps"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def wait_for_step(process, folder, step):
    deadline = time.monotonic() + SECONDS
    while max(steps_seen(folder), default=0) < step:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, f"no step {step} in {SECONDS} s"
        time.sleep(0.005)


def finish(process):
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, errors


@pytest.fixture
def undisturbed(small_base, few_rows, start, tmp_path):
    """Trains in this process and returns the output."""
    import torch

    def run():
        job_in(tmp_path / "undisturbed")
        long_run(small_base, start, few_rows, tmp_path / "undisturbed", STEPS)
        return tmp_path / "undisturbed" / "output"

    threads = torch.get_num_threads()
    yield run
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.long
def test_a_run_killed_after_step_15_of_30_ends_with_the_undisturbed_adapter(begin, undisturbed, start, tmp_path):
    folder = tmp_path / "killed"
    job_in(folder)
    killed = begin(folder)
    wait_for_step(killed, folder, 17)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait(SECONDS) == -signal.SIGKILL
    assert not list((folder / "output").iterdir())
    assert 17 <= max(steps_seen(folder)) < STEPS
    checkpoint = latest_complete(folder / "scratch" / "checkpoints")
    assert 15 <= int(checkpoint.name.split("-")[1]) < STEPS
    earlier = (checkpoint / "adapter_model.safetensors").stat().st_mtime_ns

    resumed = begin(folder)
    whole = undisturbed()
    finish(resumed)
    assert (checkpoint / "adapter_model.safetensors").stat().st_mtime_ns == earlier, "trained again from the start"
    files = {path.name for path in whole.iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "adapter.json", "history.json"} <= files
    assert files == {path.name for path in (folder / "output").iterdir()}
    for name in files:
        assert (folder / "output" / name).read_bytes() == (whole / name).read_bytes()
    last, first = ((path / "adapter_model.safetensors").read_bytes() for path in (whole, start))
    assert last != first
