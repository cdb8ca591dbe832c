"""The contestants of benchmarks/gpu.py: for each kind of work, by name, a call that takes one step.

A step gives the tokens that it was about, and its useful operations: see gpu_work.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gpu_work import Shape
from turns import Training

from polymlops.config.schema import ExperimentConfig
from polymlops.config.slices import adapter_spec, grpo_spec
from polymlops.records import Job

Race = dict[str, Callable[[], tuple[float, float]]]
OURS, TRL, TRANSFORMERS, PLAIN = "polymlops", "TRL, defaults", "transformers' generate", "polymlops, plain SFT"


@dataclass(frozen=True)
class Bench:
    """What is measured, and on what."""

    shape: Shape
    config: ExperimentConfig
    base: Path
    dataset: Path
    start: Path
    folder: Path

    @property
    def adapter(self) -> int:
        """Weights of the adapter."""
        shape, r = self.shape, self.config.lora.r
        heads = shape.head_dim * (2 * shape.heads + 2 * shape.key_value_heads)
        return shape.layers * r * (4 * shape.hidden + heads + 3 * (shape.hidden + shape.intermediate))

    def job(self, name: str) -> Job:
        """Folders of its own."""
        return new_job(self.folder / name)


class Count:
    """Tokens and useful operations of the step under way."""

    def __init__(self) -> None:
        self.tokens, self.operations = 0.0, 0.0

    def add(self, tokens: float, operations: float) -> None:
        """Add a part of the step."""
        self.tokens, self.operations = self.tokens + tokens, self.operations + operations

    def told(self) -> tuple[float, float]:
        """The step's counts; the next begins at 0."""
        found = self.tokens, self.operations
        self.tokens, self.operations = 0.0, 0.0
        return found


def new_job(folder: Path) -> Job:
    """A job in a new folder."""
    for name in ("output", "scratch"):
        (folder / name).mkdir(parents=True)
    return Job(folder / "output", folder / "scratch", lambda metrics, step: None)


def sft_race(bench: Bench, steps: int) -> Race:
    """Fine-tuning on replies."""
    ours = _sft(bench, "baseline", steps, "sft")
    return {OURS: _watched(bench, ours, steps), TRL: _watched(bench, _trl_sft(bench, ours), steps)}


def polychromic_race(bench: Bench, steps: int) -> Race:
    """Fine-tuning with a diversity step at every step; nobody else has it, so plain fine-tuning stands beside it."""
    ours = _sft(bench, "polychromic", steps, "polychromic")
    return {OURS: _watched(bench, ours, steps), PLAIN: _watched(bench, _sft(bench, "baseline", steps, "plain"), steps)}


def grpo_race(bench: Bench, steps: int) -> Race:
    """GRPO with the mean reward."""
    from polymlops.training.grpo import build_grpo_trainer

    spec = grpo_spec(bench.config, "baseline_grpo", 0)
    ours = build_grpo_trainer(spec, bench.base, bench.start, bench.dataset, random_reward, bench.job("grpo"))
    return {OURS: _grouped(bench, ours, steps), TRL: _grouped(bench, _trl_grpo(bench, ours), steps)}


def sampling_race(bench: Bench, steps: int) -> Race:
    """Candidates for the same prompts, drawn from the base."""
    from polymlops.data.prompts import chat, prompts_of
    from polymlops.generation.decoding import Decoding, prompt_key, sample_candidates
    from polymlops.generation.encoding import encode_chat
    from polymlops.models.loading import load_base, load_tokenizer

    sampling, tokenizer, model = bench.config.sampling, load_tokenizer(bench.base), load_base(bench.base)
    asked = prompts_of(bench.dataset, "test", max(1, sampling.batch // sampling.n), 0)
    encoded = [encode_chat(tokenizer, chat(prompt.text)) for prompt in asked]
    decoding = Decoding(sampling.temperature, sampling.top_p, sampling.top_k, sampling.max_new_tokens)
    keys = [prompt_key(sampling.seed, prompt.prompt_id) for prompt in asked]

    def counted(drawn: float) -> tuple[float, float]:
        prompt = float(np.mean([len(tokens) for tokens in encoded]))
        sight = prompt + drawn / len(encoded) / sampling.n / 2
        return drawn, bench.shape.forward(prompt * len(encoded), prompt / 2) + bench.shape.forward(drawn, sight)

    def ours() -> tuple[float, float]:
        groups = sample_candidates(model, encoded, keys, sampling.n, decoding)
        return counted(float(sum(len(item.tokens) for group in groups for item in group)))

    return {OURS: ours, TRANSFORMERS: lambda: counted(_generated(model, encoded, bench.config))}


def _generated(model: Any, encoded: list[list[int]], config: ExperimentConfig) -> float:
    """Tokens that transformers' `generate` draws."""
    import torch

    from polymlops.generation.decoding import pad_left

    sampling = config.sampling
    ids, mask = (part.to(model.device) for part in pad_left(encoded, int(model.generation_config.pad_token_id)))
    how = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k, "do_sample": True}
    with torch.inference_mode():
        whole = model.generate(
            input_ids=ids,
            attention_mask=mask,
            num_return_sequences=sampling.n,
            max_new_tokens=sampling.max_new_tokens,
            **how,
        )
    return float((whole[:, ids.shape[1] :] != model.generation_config.pad_token_id).sum())


def random_reward(posts: Any, replies: Any) -> np.ndarray:
    """Numbers that the texts, which mean nothing, have no part in."""
    return np.random.default_rng(len(replies)).random(len(replies))


def _sft(bench: Bench, arm: Any, steps: int, name: str) -> Any:
    from polymlops.models.loading import load_tokenizer
    from polymlops.training.sft import build_trainer

    spec = adapter_spec(bench.config, arm, 0)
    return build_trainer(spec, bench.base, bench.dataset, bench.job(name), load_tokenizer(bench.base))


def _trl_sft(bench: Bench, ours: Any) -> Any:
    """TRL's trainer on our data, batch and adapter, with its own micro-batches."""
    from trl import SFTConfig, SFTTrainer

    from polymlops.training.sft import attach_lora

    batch = bench.config.sft.batch
    micro = min(batch, SFTConfig(output_dir="unused", use_cpu=True, bf16=False).per_device_train_batch_size)
    arguments = SFTConfig(
        output_dir=str(bench.folder / "trl-sft"),
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=batch // micro,
        max_length=bench.config.sft.max_tokens,
        use_cpu=ours.args.use_cpu,
        save_strategy="no",
        report_to=[],
    )
    model = attach_lora(bench.base, adapter_spec(bench.config, "baseline", 0))
    return SFTTrainer(model=model, args=arguments, train_dataset=_texts(bench), processing_class=ours.processing_class)


def _texts(bench: Bench) -> Any:
    from datasets import Dataset

    from polymlops.data.prompts import chat, load_split

    rows = load_split(bench.dataset, "train_sft").select("post", "reply").iter_rows()
    return Dataset.from_list(
        [{"prompt": chat(post), "completion": [{"role": "assistant", "content": reply}]} for post, reply in rows]
    )


def _trl_grpo(bench: Bench, ours: Any) -> Any:
    """TRL's trainer on our prompts, groups, loss and reward, with its own micro-batches."""
    from trl import GRPOConfig, GRPOTrainer

    from polymlops.training.grpo import warm_start

    grpo = bench.config.grpo
    completions = grpo.prompts * grpo.samples
    micro = min(completions, GRPOConfig(output_dir="unused", use_cpu=True, bf16=False).per_device_train_batch_size)
    arguments = GRPOConfig(
        output_dir=str(bench.folder / "trl-grpo"),
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=completions // micro,
        num_generations=grpo.samples,
        max_completion_length=grpo.max_new_tokens,
        temperature=grpo.temperature,
        beta=grpo.beta,
        loss_type="dr_grpo",
        scale_rewards="none",
        use_cpu=ours.args.use_cpu,
        save_strategy="no",
        report_to=[],
    )

    def reward(prompts: Any, completions: Any, **_: Any) -> list[float]:
        return random_reward(prompts, completions).tolist()

    return GRPOTrainer(
        reward_funcs=reward,
        args=arguments,
        model=warm_start(bench.base, bench.start),
        train_dataset=ours.train_dataset,
        processing_class=ours.processing_class,
    )


def _watched(bench: Bench, trainer: Any, steps: int) -> Callable[[], tuple[float, float]]:
    """Steps of fine-tuning, its tokens counted as they come, and those of the diversity term."""
    count, step = Count(), trainer.training_step

    def counting(model: Any, inputs: Any, *rest: Any) -> Any:
        lengths = inputs["attention_mask"].sum(1).tolist()
        count.add(sum(lengths), sum(bench.shape.trained(t, t / 2, bench.adapter) for t in lengths))
        return step(model, inputs, *rest)

    trainer.training_step = counting
    term = getattr(trainer, "diversity", None)
    if term is not None:
        sample = term.step

        def sampling(model: Any, prompts: Any, seed: int, number: int) -> Any:
            count.add(0, _set_operations(bench, [len(prompt) for prompt in prompts]))
            return sample(model, prompts, seed, number)

        term.step = sampling
    return _turns(trainer, count, steps)


def _set_operations(bench: Bench, prompts: list[int]) -> float:
    """Drawing sets and differentiating their log-probabilities; texts of random weights run to their limit."""
    term = bench.config.polychromic
    drawn = float(len(prompts) * term.samples * term.max_new_tokens)
    return _group_operations(bench, float(sum(prompts)), float(np.mean(prompts)), drawn, references=0)


def _group_operations(bench: Bench, asked: float, prompt: float, drawn: float, references: int) -> float:
    """Drawing, policy with gradient, and forward passes of references, over prompts once and what was drawn."""
    shape, sight = bench.shape, prompt + bench.config.grpo.max_new_tokens / 2
    forward = shape.forward(asked, prompt / 2) + shape.forward(drawn, sight)
    return (3 + references) * forward + 6 * bench.adapter * (asked + drawn)


def _grouped(bench: Bench, trainer: Any, steps: int) -> Callable[[], tuple[float, float]]:
    """Steps of GRPO; their tokens are those that were drawn."""
    count, generate = Count(), trainer._generate_and_score_completions

    def counting(inputs: Any) -> Any:
        output = generate(inputs)
        rows = len(output["completion_mask"])
        asked = float(output["prompt_mask"].sum()) / bench.config.grpo.samples
        drawn = float(output["completion_mask"].sum())
        prompt = asked / (rows / bench.config.grpo.samples)
        count.add(drawn, _group_operations(bench, asked, prompt, drawn, references=1))
        return output

    trainer._generate_and_score_completions = counting
    return _turns(trainer, count, steps)


def _turns(trainer: Any, count: Count, steps: int) -> Callable[[], tuple[float, float]]:
    trainer.args.max_steps = steps
    return Training(trainer, count.told).step
