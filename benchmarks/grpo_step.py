"""Wall time of one GRPO step, ours against TRL 1.16: 8 prompts x 8 completions of at most 32 tokens, demo model.

    [ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2] python benchmarks/grpo_step.py [--rounds 9] [--write]

All start from the same SFT adapter and take the same prompts, in turns in one process on one core. "TRL, defaults" is
GRPOTrainer with nothing set that the loss does not ask for (bf16 autocast, gradient checkpointing, micro-batches of
8); "TRL, tuned" is the same in fp32, without checkpointing, all completions in one batch. Loss, KL weight, temperature
and reward are ours throughout. A step is sampling, reward, reference, loss, backward, clipping and Adam.

How slow bf16 is depends on the processor: one with AMX multiplies it in hardware, one with AVX2 emulates it. The
variables in brackets take away what newer processors have, for all contestants alike.

First it is checked that on equal completions, with a policy that was moved off its reference, both compute the same
loss and the same gradient of all LoRA parameters: in fp32 within 1e-4 of their size, or nothing is timed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from demo_inputs import demo_inputs
from side_by_side import machine, one_core, write_section

from polymlops.config.grpo import GRPOSpec
from polymlops.config.profiles import load_config
from polymlops.config.slices import adapter_spec
from polymlops.records import Job

PROMPTS, SAMPLES, TOKENS = 8, 8, 32
START_REPLIES = 640  # of the SFT start: 40 steps, after which replies end by themselves
TOLERANCE = 1e-4
MOVE = 0.15  # standard deviation of the noise on every LoRA weight
LEAST_KL = 1e-3  # nats a token
ISA = "ONEDNN_MAX_CPU_ISA"
TARGETS = {"TRL, defaults": 8.0, "TRL, tuned": 1.4}
BFLOAT16 = (
    "Differences are in fp32, on equal completions. In the bf16 of its defaults TRL's loss is {0:.1%} and its gradient "
    "{1:.0%} off our fp32 one; its time above is that of bf16."
)


def main() -> None:
    """Check, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="timed steps of ours and of TRL, tuned")
    parser.add_argument("--default-rounds", type=int, default=3, help="timed steps of TRL with its defaults")
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    arguments = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with tempfile.TemporaryDirectory() as folder, one_core():
        arms = _arms(Path(folder))
        differences = _differences(arms, precise=True)
        if max(map(max, differences.values())) > TOLERANCE:
            raise SystemExit(f"loss and gradient differ from TRL's by {differences}")
        as_run = _differences(arms, precise=False)["TRL, defaults"]
        rounds = {"ours": arguments.rounds, "TRL, tuned": arguments.rounds, "TRL, defaults": arguments.default_rounds}
        times = _times(arms, rounds)
    lines = [*_table(arms, times, differences), "", BFLOAT16.format(*as_run)]
    print("\n".join(lines))
    if arguments.write:
        name = "_".join(["grpo_step", *([os.environ[ISA].lower()] if ISA in os.environ else [])])
        write_section(name, ["## GRPO step" + (f", {os.environ[ISA]}" if ISA in os.environ else ""), "", *lines])


def lively(posts: Sequence[str], replies: Sequence[str]) -> np.ndarray:
    """A reward that costs nothing: the share of letters that are vowels."""
    return np.array([sum(reply.count(vowel) for vowel in "aeiou") / max(len(reply), 1) for reply in replies])


@dataclass
class _Arm:
    """A trainer whose optimizer steps are taken by hand, so that several can alternate."""

    trainer: Any
    batches: Any
    tokens: list[int]

    @classmethod
    def of(cls, trainer: Any) -> _Arm:
        trainer.create_optimizer_and_scheduler(num_training_steps=10_000)
        trainer.model.train()
        trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
        return cls(trainer, iter(trainer.get_train_dataloader()), [])

    def backward(self) -> float:
        """Add the gradient of the next step's loss and return the loss."""
        model, pieces = self.trainer.model, self.trainer.current_gradient_accumulation_steps
        return sum(float(self.trainer.training_step(model, next(self.batches), None)) for _ in range(pieces))

    def step(self) -> None:
        """One optimizer step."""
        import torch

        self.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters(), self.trainer.args.max_grad_norm)
        self.trainer.optimizer.step()
        self.trainer.optimizer.zero_grad()
        self.trainer.state.global_step += 1
        self.tokens.append(sum(int(batch["completion_mask"].sum()) for batch in self.trainer._buffered_inputs))

    def parameters(self) -> list[Any]:
        """What is trained, in an order that all arms share."""
        return [parameter for parameter in self.trainer.model.parameters() if parameter.requires_grad]


def _arms(folder: Path) -> dict[str, _Arm]:
    from polymlops.training.grpo import build_grpo_trainer, warm_start

    config = load_config("demo", ["evaluation.track_dynamics=false"])
    base, dataset = demo_inputs(config)
    start = _start(config, base, dataset, folder)
    grpo = {"prompts": PROMPTS, "samples": SAMPLES, "micro_batch": PROMPTS * SAMPLES, "max_new_tokens": TOKENS}
    watch = {"track": False, "frequency": 10, "prompts": 2, "samples": 2}
    spec = GRPOSpec(
        arm="baseline_grpo",
        seed=1,
        grpo={**grpo, "alarms": {"gold_patience": 0}},
        dynamics=watch,
        sampling=adapter_spec(config, "baseline", 1).sampling,
    )
    ours = build_grpo_trainer(spec, base, start, dataset, lively, _job(folder / "ours"))
    tuned = {"per_device_train_batch_size": PROMPTS * SAMPLES, "bf16": False, "gradient_checkpointing": False}
    defaults = {"gradient_accumulation_steps": PROMPTS}  # of 8 completions each, which is TRL's default
    return {
        "ours": _Arm.of(ours),
        "TRL, tuned": _Arm.of(_theirs(ours, spec, warm_start(base, start), folder / "tuned", tuned)),
        "TRL, defaults": _Arm.of(_theirs(ours, spec, warm_start(base, start), folder / "defaults", defaults)),
    }


def _start(config: Any, base: Path, dataset: Path, folder: Path) -> Path:
    """A short SFT run's adapter."""
    import polars as pl

    from polymlops.training.sft import train_adapter

    few = shutil.copytree(dataset, folder / "few")
    pl.read_parquet(few / "train_sft.parquet").head(START_REPLIES).write_parquet(few / "train_sft.parquet")
    job = _job(folder / "start")
    train_adapter(adapter_spec(config, "baseline", 1), base, few, job)
    return job.output


def _job(folder: Path) -> Job:
    for name in ("output", "scratch"):
        (folder / name).mkdir(parents=True)
    return Job(folder / "output", folder / "scratch", lambda metrics, step: None)


def _theirs(ours: Any, spec: GRPOSpec, model: Any, folder: Path, settings: dict[str, Any]) -> Any:
    """TRL's own trainer on our loss, prompts and reward."""
    from trl import GRPOConfig, GRPOTrainer

    def score(prompts: Any, completions: Any, **_: Any) -> list[float]:
        return lively([], [completion[0]["content"].strip() for completion in completions]).tolist()

    loss = {"loss_type": "dr_grpo", "scale_rewards": "none", "beta": spec.grpo.beta, "disable_dropout": True}
    arguments = GRPOConfig(
        output_dir=str(folder),
        num_generations=SAMPLES,
        max_completion_length=TOKENS,
        temperature=spec.grpo.temperature,
        learning_rate=spec.grpo.learning_rate,
        shuffle_dataset=False,
        use_cpu=True,
        report_to=[],
        **loss,
        **settings,
    )
    return GRPOTrainer(
        reward_funcs=score,
        args=arguments,
        model=model,
        train_dataset=ours.train_dataset,
        processing_class=ours.processing_class,
    )


def _differences(arms: dict[str, _Arm], precise: bool) -> dict[str, tuple[float, float]]:
    """Relative difference of loss and of gradient to TRL's on the completions that we sample; precise is in fp32."""
    loss, gradient = _moved_gradient(arms["ours"])
    kl = arms["ours"].trainer._metrics["train"]["kl"][-1]
    if not kl > LEAST_KL:
        raise SystemExit(f"the policy was hardly moved off its reference, KL {kl:g}: its term would not be compared")
    completions = [list(candidate.tokens) for candidate in arms["ours"].trainer.candidates]
    differences = {}
    for name in TARGETS:
        trainer = arms[name].trainer
        as_set, trainer.accelerator.native_amp = trainer.accelerator.native_amp, trainer.args.bf16 and not precise
        trainer._generate_single_turn = lambda *_: (completions, None)
        theirs, their_gradient = _moved_gradient(arms[name])
        del trainer._generate_single_turn
        trainer.accelerator.native_amp = as_set
        apart = float((gradient - their_gradient).norm() / their_gradient.norm())
        differences[name] = (abs(loss - theirs) / abs(theirs), apart)
    return differences


def _moved_gradient(arm: _Arm) -> tuple[float, Any]:
    """Loss and gradient where the policy has been moved off its reference by seeded noise; weights are put back."""
    import torch

    generator = torch.Generator().manual_seed(0)
    kept = [parameter.detach().clone() for parameter in arm.parameters()]
    with torch.no_grad():
        for parameter in arm.parameters():
            parameter.add_(MOVE * torch.randn(parameter.shape, generator=generator))
    loss = arm.backward()
    gradient = torch.cat([parameter.grad.flatten().double() for parameter in arm.parameters()])
    arm.trainer.optimizer.zero_grad()
    with torch.no_grad():
        for parameter, before in zip(arm.parameters(), kept, strict=True):
            parameter.copy_(before)
    return loss, gradient


def _times(arms: dict[str, _Arm], rounds: dict[str, int]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in arms}
    for turn in range(-1, max(rounds.values())):  # the first is not counted
        for name, arm in arms.items():
            if turn < rounds[name]:
                started = time.perf_counter()
                arm.step()
                if turn >= 0:
                    times[name].append(time.perf_counter() - started)
    return times


def _table(arms: dict[str, _Arm], times: dict[str, list[float]], differences: dict[str, Any]) -> Any:
    medians = {name: statistics.median(values) for name, values in times.items()}
    import torch

    isa = f"torch {torch.__version__}, oneDNN {os.environ.get(ISA) or 'with all that the processor has'}"
    yield f"{machine()}, {isa}. {PROMPTS} prompts x {SAMPLES} completions of at most {TOKENS} tokens. Medians; a"
    yield "ratio is the median over rounds, each of which times all."
    yield ""
    yield "| step | ms | tokens a step | ratio | target | loss differs by | gradient differs by |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for name, median in medians.items():
        ratio = statistics.median(a / b for a, b in zip(times[name], times["ours"], strict=False))
        row = f"| {name} | {1e3 * median:,.0f} | {statistics.mean(arms[name].tokens):,.0f} | {ratio:.2f} |"
        if name == "ours":
            yield f"{row} | | |"
            continue
        met = "met" if ratio >= TARGETS[name] else "**missed**"
        loss, gradient = differences[name]
        yield f"{row} {TARGETS[name]:g}, {met} | {loss:.1e} | {gradient:.1e} |"


if __name__ == "__main__":
    main()
