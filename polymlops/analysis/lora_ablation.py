"""Which layers carry diversity: Delta W of one block of layers is switched off, the same prompts are sampled again.

An adapter's norms say which layers moved. Whether diversity or quality comes from there is a causal question: each
block is switched off in turn, candidates are drawn with the same random numbers as with the full adapter, and the
difference is taken prompt by prompt. Effects of blocks need not add up, since later layers answer to earlier ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from polymlops.analysis.lora_adapters import PREFIX, place_of
from polymlops.errors import InputError
from polymlops.generation.decoding import Candidate, Decoding, prompt_key, sample_candidates
from polymlops.metrics.arrays import Floats
from polymlops.metrics.statistics import paired_bootstrap
from polymlops.models.loading import check_base, load_base
from polymlops.records import Estimate

if TYPE_CHECKING:
    from peft import PeftModel

EVERYTHING = "all"

# (prompt_id, texts of its candidates) -> one number; NaN where it has no meaning for them.
Scorer = Callable[[str, Sequence[str]], float]


@dataclass(frozen=True, slots=True)
class LayerBlock:
    """Layers that are switched off together."""

    name: str
    layers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AblationProbe:
    """What is sampled each time: prompts by id with their tokens, how many candidates, how, and with which draws.

    `decode` gives the text of a candidate.
    """

    prompt_ids: tuple[str, ...]
    encoded: tuple[tuple[int, ...], ...]
    samples: int
    decoding: Decoding
    seed: int
    decode: Callable[[Candidate], str]


@dataclass(frozen=True, slots=True)
class BlockEffect:
    """What one score loses or gains without a block.

    `full` and `without` are means over the prompts where both are defined, `change` = without - full with its paired
    bootstrap interval, `undefined` counts the prompts left out. A block that carries diversity has a change below 0.
    """

    block: LayerBlock
    score: str
    full: float
    without: float
    change: Estimate
    undefined: int


@dataclass(frozen=True, slots=True)
class Ablation:
    """Effects of all blocks, the last block being the whole adapter; intervals hold together at `level`."""

    effects: tuple[BlockEffect, ...]
    level: float
    prompts: int
    samples: int

    def sentence(self, score: str) -> str:
        """Which blocks move a score, in words; never a block whose interval holds 0.

        Raises: InputError for a score that was not measured.
        """
        of_score = [effect for effect in self.effects if effect.score == score]
        if not of_score:
            raise InputError(f"{score}: not measured; there are {sorted({effect.score for effect in self.effects})}")
        moving = [e for e in of_score if e.block.name != EVERYTHING and e.change.excludes_zero]
        about = (
            f"({self.prompts} prompts x {self.samples} candidates, intervals that hold together at {self.level:.0%})"
        )
        if not moving:
            return f"No single block of layers changes {score} beyond chance {about}."
        parts = [
            f"without layers {e.block.name} it is {e.full:.3f} -> {e.without:.3f}, change {e.change}" for e in moving
        ]
        return f"{score}: {'; '.join(parts)} {about}."

    def rows(self) -> list[dict[str, float | int | str | bool]]:
        """One row a block and score."""
        return [
            {
                "block": effect.block.name,
                "first_layer": effect.block.layers[0],
                "last_layer": effect.block.layers[-1],
                "score": effect.score,
                "full": effect.full,
                "without": effect.without,
                "change": effect.change.value,
                "low": effect.change.low,
                "high": effect.change.high,
                "prompts": effect.change.n,
                "undefined": effect.undefined,
                "excludes_zero": effect.change.excludes_zero,
            }
            for effect in self.effects
        ]


def load_adapted(base: Path, adapter: Path) -> PeftModel:
    """A base with its adapter beside it, not merged, so that blocks can be switched off; in evaluation mode.

    Raises: InputError for an adapter of another base.
    """
    from peft import PeftModel

    check_base(base, adapter)
    return PeftModel.from_pretrained(load_base(base), str(adapter)).eval()


def adapted_layers(model: Any) -> list[int]:
    """Indices of the layers that the active adapter changes. Raises InputError where there are none."""
    layers = sorted({place_of(path).layer for path, _ in _lora_modules(model)} - {None}, key=lambda layer: layer or 0)
    if not layers:
        raise InputError("the model has no LoRA layers with an index: load it with load_adapted, and do not merge it")
    return [layer for layer in layers if layer is not None]


def layer_blocks(layers: Sequence[int], count: int) -> list[LayerBlock]:
    """Split layers into `count` contiguous blocks of nearly equal size.

    Raises: InputError for more blocks than layers, or none.
    """
    if not 1 <= count <= len(layers):
        raise InputError(f"{count} blocks of {len(layers)} layers: from 1 to {len(layers)} are possible")
    parts = [tuple(int(layer) for layer in part) for part in np.array_split(np.array(layers), count)]
    return [LayerBlock(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}", part) for part in parts]


@contextmanager
def without_layers(model: Any, layers: Collection[int]) -> Iterator[None]:
    """Switch off what LoRA adds (DoRA and bias included) in these layers of a PeftModel, and on again afterwards.

    Raises: InputError for a merged adapter, one switched off already, or a layer that it does not change.
    """
    chosen = [(path, module) for path, module in _lora_modules(model) if place_of(path).layer in set(layers)]
    unknown = set(layers) - {place_of(path).layer for path, _ in chosen}
    if unknown:
        raise InputError(f"layer {min(unknown)} has no LoRA weights; layers that have: {adapted_layers(model)}")
    blocked = next((path for path, module in chosen if module.merged or module.disable_adapters), None)
    if blocked:
        raise InputError(f"{blocked}: the adapter is merged or off already; load it with load_adapted")
    # Switching on again makes weights trainable; those that were not stay so.
    flags = [(weight, weight.requires_grad) for _, module in chosen for weight in module.parameters()]
    try:
        for _, module in chosen:
            module.enable_adapters(False)
        yield
    finally:
        for _, module in chosen:
            module.enable_adapters(True)
        for weight, trainable in flags:
            weight.requires_grad_(trainable)


def ablate_blocks(
    model: Any,
    blocks: Sequence[LayerBlock],
    probe: AblationProbe,
    measure: Mapping[str, Scorer],
    level: float = 0.95,
) -> Ablation:
    """Sample with every block off in turn, and with the whole adapter off, and compare with the full adapter.

    Args:
        model: a PeftModel in evaluation mode, from `load_adapted`.
        blocks: from `layer_blocks(adapted_layers(model), count)`.
        probe: prompts, candidates a prompt, decoding, seed, and how candidates become text.
        measure: scores by name, each of one prompt's candidates (a diversity, a quality).
        level: that all intervals of one score hold together (Bonferroni over the blocks and the whole).

    Raises: InputError without prompts or scores, or as in `without_layers`; MetricError for a level outside (0, 1).
    """
    if not (probe.prompt_ids and measure) or len(probe.prompt_ids) != len(probe.encoded):
        raise InputError(f"{len(probe.prompt_ids)} prompt ids, {len(probe.encoded)} prompts, {len(measure)} scores")
    whole = LayerBlock(EVERYTHING, tuple(adapted_layers(model)))
    full = _measured(model, probe, measure)
    single = 1 - (1 - level) / (len(blocks) + 1)
    effects: list[BlockEffect] = []
    for block in (*blocks, whole):
        with without_layers(model, block.layers):
            without = _measured(model, probe, measure)
        effects += [_effect(block, name, full[name], without[name], (single, probe.seed)) for name in measure]
    return Ablation(tuple(effects), level, len(probe.prompt_ids), probe.samples)


def _lora_modules(model: Any) -> list[tuple[str, Any]]:
    from peft.tuners.lora import LoraLayer

    return [
        (name.removeprefix(PREFIX), module) for name, module in model.named_modules() if isinstance(module, LoraLayer)
    ]


def _measured(model: Any, probe: AblationProbe, measure: Mapping[str, Scorer]) -> dict[str, Floats]:
    keys = [prompt_key(probe.seed, prompt_id) for prompt_id in probe.prompt_ids]
    groups = sample_candidates(model, probe.encoded, keys, probe.samples, probe.decoding)
    texts = [[probe.decode(candidate) for candidate in group] for group in groups]
    return {
        name: np.array([score(prompt, row) for prompt, row in zip(probe.prompt_ids, texts, strict=True)], float)
        for name, score in measure.items()
    }


def _effect(
    block: LayerBlock, name: str, full_P: Floats, without_P: Floats, interval: tuple[float, int]
) -> BlockEffect:
    level, seed = interval
    known_P = ~(np.isnan(full_P) | np.isnan(without_P))
    if not known_P.any():
        return BlockEffect(block, name, math.nan, math.nan, Estimate(math.nan), len(full_P))
    full_P, without_P = full_P[known_P], without_P[known_P]
    change = paired_bootstrap(without_P, full_P, np.random.default_rng(seed), level=level)
    return BlockEffect(block, name, float(full_P.mean()), float(without_P.mean()), change, int((~known_P).sum()))
