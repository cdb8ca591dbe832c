"""Where in depth two arms part: what each layer would foretell if it were the last (logit lens).

    p_l = softmax(head(norm(h_l))),   divergence of layer l = KL(p_l^a || p_l^b) in nats, mean over measured positions

Layer 0 is what enters the first layer, layer l what leaves the l-th. At the last layer the lens is the model itself,
which is checked for every passage; earlier layers were not trained to be read so, and say where, not how much.

Source: nostalgebraist 2020, "interpreting GPT: the logit lens".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from polymlops.analysis.mechanistic_attention import Row
from polymlops.analysis.mechanistic_intervals import joint_intervals
from polymlops.analysis.mechanistic_readings import (
    Passage,
    check_passages,
    decoder_of,
    residual_stream,
    token_tensor,
)
from polymlops.errors import InputError
from polymlops.metrics.arrays import Floats
from polymlops.records import Estimate

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class DepthProfile:
    """Two models over P passages at layers 0 to L: divergence, and the entropy of what each foretells (nats)."""

    prompt_ids: tuple[str, ...]
    kl_PL: Floats
    entropy_a_PL: Floats
    entropy_b_PL: Floats


@dataclass(frozen=True, slots=True)
class LayerDivergence:
    """One layer: KL(a || b), how much of the last layer's it is, and the change of entropy b - a."""

    layer: int
    kl: Estimate
    share: float
    entropy_a: float
    entropy_b: float
    entropy_change: Estimate


@dataclass(frozen=True, slots=True)
class DepthComparison:
    """All layers of two arms; the intervals of one quantity hold together at `level`, over prompts."""

    a: str
    b: str
    level: float
    layers: tuple[LayerDivergence, ...]

    def rows(self) -> list[Row]:
        """One row a layer."""
        return [
            {
                "a": self.a,
                "b": self.b,
                "layer": layer.layer,
                "kl": layer.kl.value,
                "kl_low": layer.kl.low,
                "kl_high": layer.kl.high,
                "share_of_last": layer.share,
                "entropy_a": layer.entropy_a,
                "entropy_b": layer.entropy_b,
                "entropy_change": layer.entropy_change.value,
                "entropy_change_low": layer.entropy_change.low,
                "entropy_change_high": layer.entropy_change.high,
                "prompts": layer.kl.n,
            }
            for layer in self.layers
        ]

    @property
    def half_way(self) -> int | None:
        """The first layer from which on the divergence stays at half the last layer's or more; None where it is 0."""
        if not self.layers[-1].kl.value > 0:
            return None
        below = [layer.layer for layer in self.layers if layer.share < 0.5]
        return max(below, default=-1) + 1

    @property
    def sentence(self) -> str:
        """Where the arms part, in words."""
        last = self.layers[-1]
        if self.half_way is None:
            return f"{self.b} foretells what {self.a} does at every layer."
        return (
            f"{self.b} parts from {self.a} by layer {self.half_way} of {last.layer}: from there on half of the final "
            f"divergence of {last.kl} nats a token, or more, is in the residual stream."
        )


def measure_depth(a: Any, b: Any, passages: Sequence[Passage]) -> DepthProfile:
    """Read every passage with both models and compare what each layer foretells.

    Raises: InputError for passages as in `check_passages`, models of different depth, or a model whose logits are not
    norm and head of its last residual.
    """
    check_passages(passages)
    if len(decoder_of(a).layers) != len(decoder_of(b).layers):
        raise InputError("models of different depth have no layers to compare: give two arms of one base")
    read = [_compare_passage(a, b, passage) for passage in passages]
    kl_PL, entropy_a_PL, entropy_b_PL = (np.array([row[part] for row in read]) for part in range(3))
    return DepthProfile(tuple(passage.prompt_id for passage in passages), kl_PL, entropy_a_PL, entropy_b_PL)


def lens_logits(model: Any, passage: Passage) -> list[torch.Tensor]:
    """What each layer foretells at the measured positions, layers + 1 tensors (Q, V).

    Raises: InputError where the last is not what the model itself says.
    """
    import torch

    decoder = decoder_of(model)
    with torch.no_grad(), residual_stream(model) as stream:
        logits = model(input_ids=token_tensor(model, passage), use_cache=False).logits[0, passage.measured]
        # The whole stream goes through the head, as in the model: a product of fewer rows rounds otherwise.
        foretold = [decoder.head(decoder.norm(state))[0, passage.measured] for state in stream]
    if not torch.allclose(foretold[-1], logits, rtol=1e-4, atol=1e-4):
        raise InputError(f"{type(model).__name__} does more after its layers than a norm and a head: no lens fits it")
    return foretold


def compare_depth(
    names: tuple[str, str], profiles: Sequence[DepthProfile], rng: np.random.Generator, level: float = 0.95
) -> DepthComparison:
    """Summarise pairs of one training seed each (their mean, prompt by prompt) with intervals over prompts.

    Raises: InputError where profiles are of different prompts, or there is none.
    """
    if not profiles or any(profile.prompt_ids != profiles[0].prompt_ids for profile in profiles):
        raise InputError("pairs must have read the same prompts in the same order, and at least one")
    kl_PL = np.mean([profile.kl_PL for profile in profiles], axis=0)
    entropy_a_PL = np.mean([profile.entropy_a_PL for profile in profiles], axis=0)
    entropy_b_PL = np.mean([profile.entropy_b_PL for profile in profiles], axis=0)
    kls = joint_intervals(kl_PL, rng, level)
    changes = joint_intervals(entropy_b_PL - entropy_a_PL, rng, level)
    last = kls[-1].value
    layers = [
        LayerDivergence(
            layer=index,
            kl=kl,
            share=kl.value / last if last > 0 else float("nan"),
            entropy_a=float(entropy_a_PL[:, index].mean()),
            entropy_b=float(entropy_b_PL[:, index].mean()),
            entropy_change=changes[index],
        )
        for index, kl in enumerate(kls)
    ]
    return DepthComparison(*names, level, tuple(layers))


def _compare_passage(a: Any, b: Any, passage: Passage) -> tuple[list[float], list[float], list[float]]:
    import torch

    kls, entropies_a, entropies_b = [], [], []
    for of_a, of_b in zip(lens_logits(a, passage), lens_logits(b, passage), strict=True):
        log_a, log_b = (torch.log_softmax(logits.double(), -1) for logits in (of_a, of_b))
        kls.append(float((log_a.exp() * (log_a - log_b)).sum(-1).mean()))
        entropies_a.append(float(torch.special.entr(log_a.exp()).sum(-1).mean()))
        entropies_b.append(float(torch.special.entr(log_b.exp()).sum(-1).mean()))
    return kls, entropies_a, entropies_b
