"""How much memory the work of an experiment takes, computed from shapes: an estimate from above, for deciding early.

    weights      bytes a parameter by dtype; under nf4 the linear maps of the layers take 4.127 bits (4, and 8 a block
                 of 64 whose scales are quantized themselves), embedding, head and norms their dtype
    adapter      16 bytes a LoRA parameter: value, gradient and two moments of Adam in float32; a reference of the KL 4
    activations  what a layer keeps a token for the way back: twice the stream and what is normed of it, queries, keys
                 and values before and after rotation, the attention's output, four times the feed-forward width, and
                 with dropout another input and a mask of each adapted map. With gradient checkpointing the stream
                 alone, and one layer whole
    logits       rows x tokens x vocabulary: as computed, in float32, and their gradient
    cache        keys and values of the sequences that are sampled together
    draws        six float64 arrays of sequences x vocabulary

What allocators lose is an extra tenth. A base that is trained whole (the embedded one) has 16 bytes a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from polymlops.config.base_models import EmbeddedModelConfig
from polymlops.config.sampling import SamplingConfig
from polymlops.config.schema import ExperimentConfig, LoraConfig
from polymlops.config.slices import grpo_arms, trained_arms
from polymlops.models.architecture import Architecture

FLOAT, HALF = 4, 2  # bytes
NF4 = 4.127 / 8  # bytes a weight
TRAINED = 16  # bytes a trained parameter
DRAWS = 6 * 8  # bytes a sequence and token of the vocabulary
LOST = 1.1
EVALUATED = 4  # micro-batches that SFT evaluates together, without gradients


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Bytes that one kind of work needs at its peak, by what they are for."""

    work: str
    parts: Mapping[str, int]

    @property
    def total(self) -> int:
        """Bytes, with what allocators lose."""
        return round(LOST * sum(self.parts.values()))


def memory_needs(config: ExperimentConfig, shape: Architecture) -> list[MemoryNeed]:
    """What each kind of work of an experiment needs, on the device of its model."""
    work = _Work(config, shape)
    needs = [work.pretraining(config.base_model)] if isinstance(config.base_model, EmbeddedModelConfig) else []
    if trained_arms(config):
        needs += [work.sft(), work.evaluation()]
    if any(arm == "polychromic" for arm, _ in trained_arms(config)):
        needs.append(work.polychromic())
    if grpo_arms(config):
        needs += [work.grpo(), work.drawing("sampling in GRPO", config.grpo.prompts * config.grpo.samples, work.turn)]
    needs.append(work.sampling("sampling replies", config.sampling))
    if config.code is not None:
        needs.append(work.sampling("sampling programs", config.code.sampling))
    if config.creative is not None:
        needs.append(work.sampling("sampling stories", config.creative.sampling))
    return needs


def weight_bytes(config: ExperimentConfig, shape: Architecture) -> int:
    """Of the base model as it is loaded."""
    base = config.base_model
    if isinstance(base, EmbeddedModelConfig):
        return shape.parameters * FLOAT
    each = HALF if base.dtype == "bfloat16" else FLOAT
    if base.quantization == "none":
        return shape.parameters * each
    return round(shape.linear_parameters * NF4) + (shape.parameters - shape.linear_parameters) * each


def activation_bytes(shape: Architecture, lora: LoraConfig, each: int, tokens: int, checkpointing: bool) -> int:
    """What the layers keep for the way back, over `tokens` tokens in all."""
    query, key = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    elements = 4 * shape.hidden + 2 * (query + 2 * key) + query + 4 * shape.intermediate
    adapted = sum(shape.modules[name][0] for name in lora.target_modules if name in shape.modules)
    layer = elements * each + (adapted * (each + 1) if lora.dropout else 0) + 2 * shape.hidden * FLOAT
    if checkpointing:
        return tokens * (shape.layers * shape.hidden * each + layer)
    return tokens * shape.layers * layer


class _Work:
    """The kinds of work of one experiment on a model."""

    def __init__(self, config: ExperimentConfig, shape: Architecture) -> None:
        self.config, self.shape = config, shape
        base = config.base_model
        self.each = FLOAT if isinstance(base, EmbeddedModelConfig) or base.dtype == "float32" else HALF
        self.weights = weight_bytes(config, shape)
        self.lora = shape.lora_parameters(config.lora.r, config.lora.target_modules)

    @property
    def turn(self) -> int:
        """Tokens of a prompt and a completion of GRPO."""
        return self.config.sft.max_tokens + self.config.grpo.max_new_tokens

    def pretraining(self, base: EmbeddedModelConfig) -> MemoryNeed:
        tokens = base.batch * base.context
        activations = activation_bytes(self.shape, LoraConfig(dropout=0), FLOAT, tokens, False)
        return MemoryNeed(
            "pretraining",
            {
                "weights and optimizer": self.shape.parameters * TRAINED,
                "activations": activations,
                "logits": tokens * self.shape.vocabulary * 3 * FLOAT,
            },
        )

    def sft(self) -> MemoryNeed:
        sft = self.config.sft
        tokens = sft.micro_batch * sft.max_tokens
        return MemoryNeed("SFT", self._trained(tokens, tokens, sft.gradient_checkpointing))

    def evaluation(self) -> MemoryNeed:
        tokens = EVALUATED * self.config.sft.micro_batch * self.config.sft.max_tokens
        logits = tokens * self.shape.vocabulary * (self.each + FLOAT)
        return MemoryNeed(
            "SFT's evaluation", {"weights": self.weights, "adapter": self.lora * TRAINED, "logits": logits}
        )

    def polychromic(self) -> MemoryNeed:
        """A step's cross-entropy and its sets: both wait for the way back."""
        sft, term = self.config.sft, self.config.polychromic
        rows, plain = term.prompts * term.samples, sft.micro_batch * sft.max_tokens
        tokens = plain + rows * (sft.max_tokens + term.max_new_tokens)
        judged = plain + rows * (term.max_new_tokens + 1)
        return MemoryNeed("polychromic SFT", self._trained(tokens, judged, sft.gradient_checkpointing))

    def grpo(self) -> MemoryNeed:
        grpo = self.config.grpo
        rows = grpo.micro_batch
        parts = self._trained(rows * self.turn, rows * grpo.max_new_tokens, grpo.gradient_checkpointing)
        return MemoryNeed("GRPO", parts | {"reference": self.lora * FLOAT})

    def sampling(self, work: str, sampling: SamplingConfig) -> MemoryNeed:
        sequences = max(1, sampling.batch // sampling.n) * sampling.n
        return self.drawing(work, sequences, self.config.sft.max_tokens + sampling.max_new_tokens)

    def drawing(self, work: str, sequences: int, tokens: int) -> MemoryNeed:
        cache = self.shape.cache_bytes(sequences, tokens, self.each)
        draws = sequences * self.shape.vocabulary * DRAWS
        return MemoryNeed(work, {"weights": self.weights, "adapter": self.lora * FLOAT, "cache": cache, "draws": draws})

    def _trained(self, tokens: int, judged: int, checkpointing: bool) -> dict[str, int]:
        """Parts of a step over `tokens` tokens, of which `judged` have logits."""
        return {
            "weights": self.weights,
            "adapter and optimizer": self.lora * TRAINED,
            "activations": activation_bytes(self.shape, self.config.lora, self.each, tokens, checkpointing),
            "logits": judged * self.shape.vocabulary * (self.each + 2 * FLOAT),
        }
