"""Out of memory: the micro-batch gets smaller until it fits, the batch stays, and the result is what it would be."""

import logging
from dataclasses import replace

import pytest
import torch
from grpo_parts import count_of_e, spec_of
from safetensors.torch import load_file

from polymlops.config.profiles import load_config
from polymlops.config.slices import adapter_spec
from polymlops.errors import TrainingError
from polymlops.training.grpo import train_grpo
from polymlops.training.memory import fit_memory, smaller_divisor
from polymlops.training.sft import train_adapter

SFT = (
    "sft.epochs=2",
    "sft.batch=8",
    "sft.micro_batch=8",
    "sft.learning_rate=0.002",
    "sft.checkpoint_every=2",
    "sft.log_every=1",
    "lora.r=4",
    "lora.dropout=0",
    "evaluation.track_dynamics=false",
)


def _full_above(monkeypatch, trainer, rows, from_step=0):
    """The trainer on a GPU that holds so many rows from a step on; gives the sizes that it was asked to hold."""
    step, asked = trainer.compute_loss, []

    def compute_loss(self, model, inputs, *args, **kwargs):
        size = len(next(value for value in inputs.values() if isinstance(value, torch.Tensor)))
        asked.append((self.state.global_step, size))
        if model.training and size > rows and self.state.global_step >= from_step:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore")
        return step(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(trainer, "compute_loss", compute_loss)
    return asked


def _noting(job, told):
    return replace(
        job, log=lambda metrics, step: told.extend((n, step) for n in metrics), note=lambda *n: told.append(n)
    )


def _notes(told):
    return [text for name, text in told if name == "micro_batch"]


def _close(ours, theirs):
    found, wanted = (load_file(job.output / "adapter_model.safetensors") for job in (ours, theirs))
    assert found.keys() == wanted.keys()
    return all(torch.allclose(found[name], wanted[name], atol=2e-4) for name in found)


def test_sft_goes_on_with_a_smaller_micro_batch_and_ends_in_the_same_adapter(
    monkeypatch, caplog, small_base, few_rows, make_job
):
    from polymlops.training.sft_trainer import PolychromicTrainer

    spec = adapter_spec(load_config("demo", SFT), "baseline", 1)
    undisturbed, told = make_job("undisturbed"), []
    train_adapter(spec, small_base, few_rows, undisturbed)
    asked = _full_above(monkeypatch, PolychromicTrainer, 3, from_step=3)
    job = make_job("full")
    with caplog.at_level(logging.WARNING, "polymlops"):
        train_adapter(spec, small_base, few_rows, _noting(job, told))
    first_line = "CUDA out of memory. Tried to allocate 2.00 GiB."
    assert _notes(told) == [
        f"out of memory with 8, so 4 x 2: {first_line}",
        f"out of memory with 4, so 2 x 4: {first_line}",
    ]
    assert [f"micro_batch: {note}" for note in _notes(told)] == [
        r.message for r in caplog.records if "micro" in r.message
    ]
    assert [(step, size) for step, size in asked if size == 2] == [(step, 2) for step in (2, 3, 4, 5) for _ in range(4)]
    losses = [step for name, step in told if name == "train/loss"]
    assert losses == [1, 2, 3, 4, 5, 6]
    assert _close(job, undisturbed)


def test_grpo_keeps_its_groups(monkeypatch, small_base, few_rows, start, make_job):
    from polymlops.training.grpo_trainer import SetTrainer

    told, job, undisturbed = [], make_job("full"), make_job("undisturbed")
    train_grpo(spec_of(), small_base, start, few_rows, count_of_e, undisturbed)
    _full_above(monkeypatch, SetTrainer, 3)
    train_grpo(spec_of(), small_base, start, few_rows, count_of_e, _noting(job, told))
    assert [note.partition(":")[0] for note in _notes(told)] == ["out of memory with 6, so 3 x 4"]
    assert _close(job, undisturbed)


def test_no_room_for_one_row_is_an_error(make_job):
    tried = []

    def train(size, _job):
        tried.append(size)
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(TrainingError, match="one row: CUDA out of memory"):
        fit_memory(train, 12, 6, make_job())
    assert tried == [6, 3, 1]


@pytest.mark.gpu
def test_memory_of_a_real_gpu(make_job):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    total = torch.cuda.get_device_properties(0).total_memory

    def train(size, _job):
        return torch.empty(size * total // 3, dtype=torch.uint8, device="cuda").numel()

    assert fit_memory(train, 8, 8, make_job()) == 2 * total // 3


@pytest.mark.parametrize(("batch", "size", "smaller"), [(16, 16, 8), (12, 6, 3), (12, 3, 1), (9, 9, 3), (7, 7, 1)])
def test_smaller_micro_batch_divides_the_batch(batch, size, smaller):
    assert smaller_divisor(batch, size) == smaller
