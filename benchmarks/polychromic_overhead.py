"""Wall time of polychromic against plain fine-tuning: the demo's settings, steps interleaved in one process.

    python benchmarks/polychromic_overhead.py [--steps 48] [KEY=VALUE ...]

Both arms train on the demo's base model and data, which are taken from the ledger or made first. Blocks of `every`
steps (one diversity step each) alternate between the arms; printed is the ratio of the median block times. First it
is checked that `lambda = 0` gives the baseline's loss to the last bit.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from demo_inputs import demo_inputs

from polymlops.config.profiles import load_config
from polymlops.config.schema import ExperimentConfig
from polymlops.config.slices import adapter_spec
from polymlops.records import Job


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=48, help="optimizer steps of each arm")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    arguments = parser.parse_args()
    config = load_config("demo", [*arguments.overrides, "evaluation.track_dynamics=false"])
    base, dataset = demo_inputs(config)
    with tempfile.TemporaryDirectory() as folder:
        arms = {arm: _Arm(config, arm, base, dataset, Path(folder)) for arm in ("baseline", "polychromic")}
        _check_agreement(config, base, dataset, Path(folder), arms["baseline"])
        every = config.polychromic.every
        times: dict[str, list[float]] = {arm: [] for arm in arms}
        for block in range(arguments.steps // every):
            for name, arm in list(arms.items())[:: 1 if block % 2 else -1]:
                times[name].append(arm.block(every))
    plain, ours = (statistics.median(times[arm]) / every for arm in ("baseline", "polychromic"))
    print(f"baseline {plain * 1000:.0f} ms a step, polychromic {ours * 1000:.0f} ms a step: ratio {ours / plain:.2f}")


class _Arm:
    """A trainer whose optimizer steps are taken by hand, so that two can alternate."""

    def __init__(self, config: ExperimentConfig, arm: str, base: Path, dataset: Path, folder: Path) -> None:
        from polymlops.models.loading import load_tokenizer
        from polymlops.training.sft import build_trainer

        job = Job(folder / arm / "output", folder / arm, lambda metrics, step: None)
        spec = adapter_spec(config, arm, config.seeds[0])
        self.trainer = build_trainer(spec, base, dataset, job, load_tokenizer(base))
        self.trainer.create_optimizer_and_scheduler(num_training_steps=10_000)
        self.trainer.model.train()
        self.trainer.current_gradient_accumulation_steps = config.sft.batch // config.sft.micro_batch
        self.batches = iter(self.trainer.get_train_dataloader())

    def loss(self) -> float:
        """Loss of the next batch, after its gradient has been added."""
        batches = [next(self.batches) for _ in range(self.trainer.current_gradient_accumulation_steps)]
        items = sum((batch["labels"][:, 1:] != -100).sum() for batch in batches)
        total = 0.0
        for batch in batches:
            loss = self.trainer.compute_loss(self.trainer.model, batch, num_items_in_batch=items)
            loss.backward()
            total += float(loss.detach())
        return total

    def block(self, steps: int) -> float:
        """Seconds of so many optimizer steps."""
        started = time.perf_counter()
        for _ in range(steps):
            self.loss()
            self.trainer.optimizer.step()
            self.trainer.optimizer.zero_grad()
            self.trainer.state.global_step += 1
        return time.perf_counter() - started


def _check_agreement(config: ExperimentConfig, base: Path, dataset: Path, folder: Path, baseline: _Arm) -> None:
    off = config.model_copy(update={"polychromic": config.polychromic.model_copy(update={"lambda_": 0.0})})
    import torch

    zero = _Arm(off, "polychromic", base, dataset, folder / "zero")
    losses = []
    for arm in (baseline, zero):
        torch.manual_seed(0)
        losses.append(arm.loss())
        arm.trainer.optimizer.zero_grad()
    if losses[0] != losses[1]:
        raise SystemExit(f"lambda = 0 and the baseline disagree: {losses}")


if __name__ == "__main__":
    main()
