"""What the GRPO tests share: a tiny run's settings, a short SFT start, and a run in a process of its own.

    python grpo_parts.py BASE START DATASET FOLDER STEPS

trains into FOLDER, which has `output` and `scratch`, and appends each logged step to FOLDER/steps.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import polars as pl

from polymlops.config.grpo import GRPOSpec
from polymlops.config.profiles import load_config
from polymlops.config.slices import adapter_spec
from polymlops.records import Job

OVERRIDES = (
    "sft.epochs=1",
    "sft.batch=8",
    "sft.micro_batch=8",
    "sft.learning_rate=0.002",
    "lora.r=4",
    "lora.dropout=0.1",
    "evaluation.track_dynamics=false",
)
TINY = {
    "samples": 4,
    "prompts": 3,
    "micro_batch": 6,
    "steps": 6,
    "learning_rate": 0.003,
    "warmup": 0,
    "max_new_tokens": 12,
    "checkpoint_every": 2,
    "log_every": 1,
}


def count_of_e(posts, replies):
    return np.array([reply.count("e") / 10 for reply in replies])


def spec_of(dynamics=False, **changes):
    whole = adapter_spec(load_config("demo", [*OVERRIDES, "sampling.max_new_tokens=12"]), "baseline", 1)
    alarms = {"gold_patience": 0, "kl_limit": 100.0, **changes.pop("alarms", {})}
    watch = {"track": dynamics, "frequency": 2, "prompts": 2, "samples": 2}
    grpo = {**TINY, **changes, "alarms": alarms}
    return GRPOSpec(arm="baseline_grpo", seed=1, grpo=grpo, dynamics=watch, sampling=whole.sampling)


def few_replies(dataset, folder):
    """A copy of the dataset with 24 training replies: three optimizer steps."""
    shutil.copytree(dataset, folder)
    pl.read_parquet(folder / "train_sft.parquet").head(24).write_parquet(folder / "train_sft.parquet")
    return folder


def sft_start(base, dataset, folder):
    """An SFT adapter of three steps."""
    from polymlops.training.sft import train_adapter

    job = job_in(folder)
    train_adapter(adapter_spec(load_config("demo", OVERRIDES), "baseline", 1), base, dataset, job)
    return job.output


def job_in(folder, log=lambda metrics, step: None):
    for name in ("output", "scratch"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return Job(folder / "output", folder / "scratch", log)


def long_run(base, start, dataset, folder, steps):
    """Train on one thread: with others, the last bits of matrix products differ."""
    import torch

    from polymlops.training.grpo import train_grpo

    torch.set_num_threads(1)
    with (folder / "steps").open("a", buffering=1) as seen:
        job = job_in(folder, lambda metrics, step: print(step, file=seen))
        train_grpo(spec_of(steps=steps, checkpoint_every=5), base, start, dataset, count_of_e, job)


if __name__ == "__main__":
    long_run(*map(Path, sys.argv[1:5]), int(sys.argv[5]))
