"""How each attention head spreads over the text, and where two arms differ in it.

    entropy  H_t = - sum_j p_tj log p_tj  (nats),   normalised H_t / log(t + 1) in [0, 1],   distance sum_j p_tj (t - j)

at position t (from 0) over the t + 1 tokens that it sees, averaged over the positions that foretell the reply. All
arms read the same text, so that a difference is of the weights and not of what was written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from polymlops.analysis.mechanistic_intervals import joint_intervals
from polymlops.analysis.mechanistic_readings import Passage, check_passages, eager_attention, token_tensor
from polymlops.errors import InputError, MetricError
from polymlops.metrics.arrays import Floats
from polymlops.records import Estimate

if TYPE_CHECKING:
    import torch

AttentionMeasure = Literal["entropy", "normalised_entropy", "distance"]
MEASURES: tuple[AttentionMeasure, ...] = ("entropy", "normalised_entropy", "distance")
Row = dict[str, float | int | str | bool]


@dataclass(frozen=True, slots=True)
class AttentionProfile:
    """Every head of one model over P passages; entropies in nats, distance in tokens."""

    prompt_ids: tuple[str, ...]
    entropy_PLH: Floats
    normalised_entropy_PLH: Floats
    distance_PLH: Floats

    def values_PLH(self, measure: AttentionMeasure) -> Floats:
        """One of the three measures."""
        by_name = {
            "entropy": self.entropy_PLH,
            "normalised_entropy": self.normalised_entropy_PLH,
            "distance": self.distance_PLH,
        }
        return by_name[measure]


@dataclass(frozen=True, slots=True)
class HeadDifference:
    """One head in arms a and b: means over prompts, and the change b - a."""

    layer: int
    head: int
    measure: AttentionMeasure
    a: float
    b: float
    change: Estimate


@dataclass(frozen=True, slots=True)
class AttentionComparison:
    """All heads of two arms; the intervals of one measure hold together at `level`, over prompts."""

    a: str
    b: str
    level: float
    prompts: int
    heads: tuple[HeadDifference, ...]

    def rows(self) -> list[Row]:
        """One row a head and measure."""
        return [
            {
                "a": self.a,
                "b": self.b,
                "layer": head.layer,
                "head": head.head,
                "measure": head.measure,
                "value_a": head.a,
                "value_b": head.b,
                "change": head.change.value,
                "low": head.change.low,
                "high": head.change.high,
                "prompts": head.change.n,
                "excludes_zero": head.change.excludes_zero,
            }
            for head in self.heads
        ]

    def sentence(self, measure: AttentionMeasure) -> str:
        """How many heads changed, which way, and the one that changed most, in words."""
        heads = [head for head in self.heads if head.measure == measure]
        changed = [head for head in heads if head.change.excludes_zero]
        about = f"{self.prompts} prompts, intervals that hold together at {self.level:.0%}"
        if not changed:
            return f"{self.b} against {self.a}: no head's {measure} can be told apart ({about})."
        up = sum(head.change.value > 0 for head in changed)
        most = max(changed, key=lambda head: abs(head.change.value))
        return (
            f"{self.b} against {self.a}: {measure} is higher in {up} and lower in {len(changed) - up} of {len(heads)} "
            f"heads, most in layer {most.layer} head {most.head}: {most.a:.3f} -> {most.b:.3f} ({about})."
        )


def measure_attention(model: Any, passages: Sequence[Passage]) -> AttentionProfile:
    """Read every passage and measure every head; the model's own way of computing attention is restored.

    Raises: InputError for passages as in `check_passages`, or a model that gives no attention weights.
    """
    import torch

    check_passages(passages)
    found = []
    with torch.no_grad(), eager_attention(model):
        for passage in passages:
            weights = model(input_ids=token_tensor(model, passage), output_attentions=True, use_cache=False).attentions
            if not weights or any(layer is None for layer in weights):
                raise InputError(f"{type(model).__name__} gives no attention weights")
            found.append([attention_spread(layer[0], passage.measured) for layer in weights])
    values_PL3H = np.array(found)
    return AttentionProfile(
        tuple(passage.prompt_id for passage in passages), *(values_PL3H[:, :, index] for index in range(3))
    )


def attention_spread(weights_HTT: torch.Tensor, measured: slice) -> Floats:
    """Entropy, normalised entropy and distance of each head, shape (3, H): means over the measured positions.

    `weights_HTT` has a distribution over earlier positions in each row. Position 0 sees itself only and may not be
    measured.

    Raises: MetricError where it is.
    """
    import torch

    if not measured.start >= 1:
        raise MetricError("position 0 sees itself only: its attention has no spread; start at 1 or later")
    rows_HQT = weights_HTT[:, measured].double()
    position_Q = torch.arange(weights_HTT.shape[1], device=weights_HTT.device)[measured]
    key_T = torch.arange(weights_HTT.shape[2], device=weights_HTT.device)
    entropy_HQ = torch.special.entr(rows_HQT).sum(-1)
    distance_HQ = (rows_HQT * (position_Q[:, None] - key_T[None, :])).sum(-1)
    normalised_HQ = entropy_HQ / torch.log(position_Q.double() + 1)
    return torch.stack([x.mean(-1) for x in (entropy_HQ, normalised_HQ, distance_HQ)]).cpu().numpy()


def average_profiles(profiles: Sequence[AttentionProfile]) -> AttentionProfile:
    """The mean of an arm's seeds, head by head: adapters of one base number their heads alike.

    Raises: InputError where they read different prompts, or there is none.
    """
    if not profiles or any(profile.prompt_ids != profiles[0].prompt_ids for profile in profiles):
        raise InputError("profiles of one arm must be of the same prompts in the same order, and at least one")
    means = (np.mean([profile.values_PLH(measure) for profile in profiles], axis=0) for measure in MEASURES)
    return AttentionProfile(profiles[0].prompt_ids, *means)


def compare_attention(
    a: tuple[str, AttentionProfile], b: tuple[str, AttentionProfile], rng: np.random.Generator, level: float = 0.95
) -> AttentionComparison:
    """Compare two named arms head by head, paired over prompts.

    Raises: InputError where they read different prompts or have different heads.
    """
    (name_a, of_a), (name_b, of_b) = a, b
    if of_a.prompt_ids != of_b.prompt_ids or of_a.entropy_PLH.shape != of_b.entropy_PLH.shape:
        raise InputError(f"{name_a} and {name_b} did not read the same prompts with the same heads")
    heads: list[HeadDifference] = []
    for measure in MEASURES:
        first_PLH, second_PLH = of_a.values_PLH(measure), of_b.values_PLH(measure)
        prompts, _, width = first_PLH.shape
        changes = joint_intervals((second_PLH - first_PLH).reshape(prompts, -1), rng, level)
        mean_a, mean_b = first_PLH.mean(axis=0).ravel(), second_PLH.mean(axis=0).ravel()
        heads += [
            HeadDifference(index // width, index % width, measure, float(mean_a[index]), float(mean_b[index]), change)
            for index, change in enumerate(changes)
        ]
    return AttentionComparison(name_a, name_b, level, len(of_a.prompt_ids), tuple(heads))
