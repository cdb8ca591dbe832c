"""Several processes train what one does: weights, reports, faults; a kill leaves nobody behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
import torch
from grpo_parts import count_of_e, job_in
from grpo_parts import spec_of as grpo_spec_of
from safetensors.torch import load_file

from polymlops.config.profiles import load_config
from polymlops.config.slices import adapter_spec
from polymlops.errors import TrainingError, WorkerLostError
from polymlops.models.checkpoints import latest_complete
from polymlops.models.ranks import count, gathered, rank
from polymlops.training.grpo import train_grpo
from polymlops.training.processes import in_processes
from polymlops.training.sft import train_adapter

SMALL = (
    "sft.epochs=1",
    "sft.batch=8",
    "sft.micro_batch=2",
    "sft.learning_rate=0.002",
    "sft.checkpoint_every=1",
    "sft.log_every=1",
    "lora.r=4",
    "lora.dropout=0",
    "polychromic.max_new_tokens=16",
    "polychromic.prompts=3",
    "evaluation.dynamics_frequency=2",
    "evaluation.dynamics_prompts=2",
    "evaluation.dynamics_samples=2",
    "sampling.max_new_tokens=16",
    "gradients={track: true, every: 1}",
)


@pytest.fixture(autouse=True)
def functions_of_this_folder(monkeypatch):
    """The processes are sent functions by name."""
    here = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([here, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]))


def spec_of(processes, *overrides):
    settings = load_config("demo", [*SMALL, f"sft.processes={processes}", *overrides])
    return adapter_spec(settings, "polychromic", 1)


def recorded(folder):
    """A job, and what it was told."""
    told = []
    job = job_in(folder, lambda metrics, step: told.extend((step, *pair) for pair in metrics.items()))
    return job, told


def assert_same_weights(one, two):
    weights, others = (load_file(folder / "adapter_model.safetensors") for folder in (one, two))
    assert weights.keys() == others.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(others[name], weight, rtol=2e-3, atol=2e-6)


def assert_same_reports(one, two):
    assert [entry[:2] for entry in one] == [entry[:2] for entry in two]
    for (step, name, value), (_, _, other) in zip(one, two, strict=True):
        # TRL's accuracy is the mean over micro-batches, which differ; the loss is over tokens.
        near = 0.05 if name.endswith("accuracy") else 2e-3
        assert other == pytest.approx(value, rel=near, abs=1e-5, nan_ok=True), (step, name)


def test_two_processes_train_the_adapter_that_one_does(small_base, few_rows, tmp_path):
    outputs, reports = [], []
    for processes in (1, 2):
        job, told = recorded(tmp_path / str(processes))
        train = partial(train_adapter, spec_of(processes), small_base, few_rows)
        assert in_processes(train, processes, job).keys() == {"train/eval_loss"}
        outputs.append(job.output)
        reports.append(told)
    assert_same_weights(*outputs)
    assert_same_reports(*reports)
    assert sorted(os.listdir(outputs[0])) == sorted(os.listdir(outputs[1]))
    norms = [json.loads((folder / "gradient_norms.json").read_text()) for folder in outputs]
    for row, other in zip(*norms, strict=True):
        assert [other["layer"], other["cosine"] is None] == [row["layer"], row["cosine"] is None]
        numbers, others = ([v for v in values.values() if isinstance(v, float)] for values in (row, other))
        assert others == pytest.approx(numbers, rel=5e-3, abs=1e-5)


class EnoughError(Exception):
    """Ends the stage."""


@pytest.mark.slow
@pytest.mark.long
def test_a_run_that_ended_goes_on_from_its_checkpoint_bit_for_bit(small_base, few_rows, tmp_path):
    """With the dropout of each process where it was."""

    def end_at_two(metrics, step):
        if step == 2 and "train/loss" in metrics:
            raise EnoughError

    spec = spec_of(2, "lora.dropout=0.3", "gradients.track=false", "evaluation.track_dynamics=false")
    train = partial(train_adapter, spec, small_base, few_rows)
    with pytest.raises(EnoughError):
        in_processes(train, 2, job_in(tmp_path / "ended", end_at_two))
    checkpoint = latest_complete(tmp_path / "ended" / "scratch" / "checkpoints")
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= {path.name for path in checkpoint.iterdir()}
    weights = []
    for name in ("ended", "undisturbed"):
        job = job_in(tmp_path / name)
        in_processes(train, 2, job)
        weights.append((job.output / "adapter_model.safetensors").read_bytes())
    assert weights[0] == weights[1]


@pytest.mark.slow
@pytest.mark.long
def test_two_processes_follow_the_gradient_that_one_does(small_base, few_rows, start, tmp_path):
    outputs, reports = [], []
    for processes in (1, 2):
        job, told = recorded(tmp_path / str(processes))
        # One micro-batch a step: TRL averages KL and entropy over micro-batches, whatever their lengths.
        spec = grpo_spec_of(dynamics=True, prompts=4, micro_batch=16 // processes, steps=4, processes=processes)
        train = partial(train_grpo, spec, small_base, start, few_rows, count_of_e)
        in_processes(train, processes, job)
        outputs.append(job.output)
        reports.append(told)
    assert_same_weights(*outputs)
    assert_same_reports(*reports)


def of_every_process(job):
    torch.manual_seed(0)
    (job.output / f"rank-{rank()}").write_text(str(torch.get_num_threads()))
    job.log({"count": float(count())}, 1)
    job.note("who", f"rank {rank()}")
    return {"ranks": float(sum(gathered(rank())))}


def test_the_first_process_reports(tmp_path):
    job, told = recorded(tmp_path)
    assert in_processes(of_every_process, 3, job) == {"ranks": 3.0}
    assert told == [(1, "count", 3.0)]
    assert sorted(os.listdir(job.output)) == ["rank-0", "rank-1", "rank-2"]


def refusing(_job):
    if rank() == 1:
        raise TrainingError("rank 1 has had enough")
    gathered(None)


def test_an_error_of_any_process_is_the_error(tmp_path):
    with pytest.raises(TrainingError, match="rank 1 has had enough"):
        in_processes(refusing, 2, job_in(tmp_path))


def leaving(_job):
    if rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    gathered(None)


def test_a_process_that_is_gone_is_named_so_that_the_stage_is_tried_again(tmp_path):
    with pytest.raises(WorkerLostError, match="without a word"):
        in_processes(leaving, 2, job_in(tmp_path))


def short_of_memory(seen, micro_batch, job):
    """Training that has memory for two rows, and for three in its first process."""
    if micro_batch > (3 if rank() == 0 else 2):
        raise torch.OutOfMemoryError(f"cannot hold {micro_batch}")
    return gathered(micro_batch)


def fitting(job):
    from polymlops.training.memory import fit_memory

    return {"micro_batch": float(sum(fit_memory(partial(short_of_memory, None), 12, 6, job)))}


def test_memory_that_is_short_in_one_process_halves_the_micro_batch_of_all(tmp_path):
    notes = []
    job = job_in(tmp_path)
    job = type(job)(job.output, job.scratch, job.log, lambda *note: notes.append(note))
    assert in_processes(fitting, 2, job) == {"micro_batch": 2.0}
    assert [name for name, _ in notes] == ["micro_batch", "micro_batch"]
    assert "process 1: cannot hold 3" in notes[1][1]


def waiting(job):
    (job.output / f"pid-{rank()}").write_text(str(os.getpid()))
    time.sleep(600)


def test_nobody_stays_when_the_stage_is_killed(tmp_path):
    program = "import test_processes as t; t.in_processes(t.waiting, 2, t.job_in(t.Path('.')))"
    stage = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path)
    files = [tmp_path / "output" / f"pid-{number}" for number in (0, 1)]
    while not all(path.is_file() and path.read_text() for path in files):
        assert stage.poll() is None
        time.sleep(0.1)
    family = [stage, *psutil.Process(stage.pid).children(recursive=True)]
    assert len(family) >= 4
    stage.kill()
    stage.wait()
    _, alive = psutil.wait_procs(family[1:], timeout=60)
    assert alive == []
