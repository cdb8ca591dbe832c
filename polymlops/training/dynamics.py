"""Diversity while training goes on: every N optimizer steps, candidates for held-out prompts are sampled and measured.

Draws come from generators keyed by the prompt, so the random state of training is not touched: a run with and one
without dynamics end in the same weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from transformers import TrainerCallback

from polymlops.config.sampling import DynamicsSpec, SamplingConfig
from polymlops.data.prompts import Prompt, chat, prompts_of
from polymlops.data.truth import Truth, knows_truth, load_truth
from polymlops.generation.decoding import Decoding, prompt_key, sample_candidates
from polymlops.generation.encoding import decode_candidate, encode_chat
from polymlops.metrics.lexical import distinct_n, self_bleu
from polymlops.metrics.semantic import mean_pairwise_distance
from polymlops.models.ranks import is_first, wait_for_all
from polymlops.records import MetricLog

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, TrainerControl, TrainerState, TrainingArguments


@dataclass(frozen=True, slots=True)
class DynamicsPoint:
    """Means over held-out prompts at one optimizer step; what has no meaning there is NaN.

    `token_entropy` in nats, `true_intents` the distinct true intents among a prompt's candidates, `quality` their true
    quality; `reward` what training maximises, of the same candidates, None where there is no reward.
    """

    step: int
    self_bleu: float
    distinct_2: float
    semantic_diversity: float
    token_entropy: float
    true_intents: float
    pass_rate: float
    quality: float
    well_formed: float
    reward: float | None = None


class Watched(Protocol):
    """The part of a training spec that says how its dynamics are measured."""

    @property
    def dynamics(self) -> DynamicsSpec:
        """How many prompts and candidates."""

    @property
    def sampling(self) -> SamplingConfig:
        """Their decoding."""


@dataclass(frozen=True, slots=True)
class DynamicsProbe:
    """The held-out prompts, the decoding and the measuring tools of one run."""

    prompts: tuple[Prompt, ...]
    encoded: tuple[tuple[int, ...], ...]
    samples: int
    decoding: Decoding
    seed: int
    encoder: Any
    tokenizer: Any
    truth: Truth | None
    reward: Callable[[Sequence[str], Sequence[str]], Any] | None = None

    @classmethod
    def create(cls, spec: Watched, base: Path, dataset: Path, tokenizer: PreTrainedTokenizerFast) -> DynamicsProbe:
        """Take prompts of the validation split, which no training reads."""
        from polymlops.models.encoder import load_encoder

        prompts = tuple(prompts_of(dataset, "validation", spec.dynamics.prompts, spec.sampling.seed))
        sampling = spec.sampling
        return cls(
            prompts,
            tuple(tuple(encode_chat(tokenizer, chat(prompt.text))) for prompt in prompts),
            spec.dynamics.samples,
            Decoding(sampling.temperature, sampling.top_p, sampling.top_k, sampling.max_new_tokens),
            sampling.seed,
            load_encoder(base / "encoder"),
            tokenizer,
            load_truth(dataset) if knows_truth(dataset) else None,
        )

    def measure(self, model: Any, step: int) -> DynamicsPoint:
        """Sample every prompt from the model as it is and measure within prompts; the model's mode is restored."""
        was_training = model.training
        model.eval()
        try:
            keys = [prompt_key(self.seed, prompt.prompt_id) for prompt in self.prompts]
            groups = sample_candidates(model, self.encoded, keys, self.samples, self.decoding)
        finally:
            model.train(was_training)
        texts = [[decode_candidate(self.tokenizer, candidate) for candidate in group] for group in groups]
        rows = [self._measure_prompt(*pair) for pair in zip(self.prompts, texts, strict=True)]
        entropy = float(np.mean([candidate.entropy for group in groups for candidate in group]))
        means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        return DynamicsPoint(step=step, token_entropy=entropy, reward=self._mean_reward(texts), **means)

    def _mean_reward(self, texts: Sequence[Sequence[str]]) -> float | None:
        if self.reward is None:
            return None
        posts = [prompt.text for prompt, group in zip(self.prompts, texts, strict=True) for _ in group]
        return float(np.mean(self.reward(posts, [text for group in texts for text in group])))

    def _measure_prompt(self, prompt: Prompt, texts: Sequence[str]) -> dict[str, float]:
        from polymlops.models.encoder import embed

        return {
            "self_bleu": self_bleu(texts),
            "distinct_2": distinct_n(texts, 2),
            "semantic_diversity": mean_pairwise_distance(embed(self.encoder, texts)),
            **self._measure_truth(prompt, texts),
        }

    def _measure_truth(self, prompt: Prompt, texts: Sequence[str]) -> dict[str, float]:
        if self.truth is None:
            return dict.fromkeys(("true_intents", "pass_rate", "quality", "well_formed"), float("nan"))
        judged = [self.truth.judge(prompt.prompt_id, text) for text in texts]
        return {
            "true_intents": float(len({item.intent for item in judged if item.intent})),
            "pass_rate": float(np.mean([item.passed for item in judged])),
            "quality": float(np.mean([item.quality for item in judged])),
            "well_formed": float(np.mean([item.well_formed for item in judged])),
        }


class DynamicsCallback(TrainerCallback):
    """Measures at step 0, every `frequency` steps and at the end; each point is a file, so a resumed run keeps them."""

    def __init__(self, probe: DynamicsProbe, folder: Path, frequency: int, log: MetricLog) -> None:
        self.probe = probe
        self.folder = folder
        self.frequency = frequency
        self.log = log

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Report the points of the interrupted run up to its checkpoint, and measure step 0."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(self.folder.glob("step-*.json")):
            point = json.loads(path.read_text())
            if 0 < point["step"] <= state.global_step:
                self._report(point)
        self._measure(kwargs["model"], 0) if state.global_step == 0 else self._report(self._read(0))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Measure where the step is due."""
        if state.global_step % self.frequency == 0 or state.global_step == state.max_steps:
            self._measure(kwargs["model"], state.global_step)

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:06d}.json"

    def _read(self, step: int) -> dict[str, float]:
        return json.loads(self._path(step).read_text())

    def _measure(self, model: Any, step: int) -> None:
        """In the first process; the others go on once the point can be read."""
        if is_first():
            self._write(model, step)
        wait_for_all()
        self._report(self._read(step))

    def _write(self, model: Any, step: int) -> None:
        measured = asdict(self.probe.measure(model, step))
        point = {key: value for key, value in measured.items() if value is not None}
        temporary = self._path(step).with_suffix(".tmp")
        temporary.write_text(json.dumps(point))
        temporary.replace(self._path(step))

    def _report(self, point: dict[str, float]) -> None:
        step = int(point["step"])
        self.log({f"dynamics/{key}": value for key, value in point.items() if key != "step"}, step)
