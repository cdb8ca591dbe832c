"""Hidden states of a prompt's candidates by layer: do they fall into groups, and are the groups the true intents?

Each distinct candidate is one point: its residual stream, scaled to unit root mean square as the next layer reads it,
averaged over the candidate's tokens. Points of one prompt are clustered by average linkage on Euclidean distance; the
number of clusters is that of the largest mean silhouette, or 1 where even that is below .25, "no substantial
structure". Within a prompt only: over prompts, states part by topic.

Source: Rousseeuw 1987 (silhouette); the threshold from Kaufman & Rousseeuw 1990, table 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from polymlops.analysis.mechanistic_attention import Row
from polymlops.analysis.mechanistic_intervals import joint_intervals
from polymlops.analysis.mechanistic_readings import residual_stream
from polymlops.errors import InputError
from polymlops.generation.decoding import pad_left
from polymlops.metrics.arrays import Floats
from polymlops.records import Estimate

if TYPE_CHECKING:
    import torch

STRUCTURE = 0.25


@dataclass(frozen=True, slots=True)
class CandidateGroup:
    """A prompt's tokens, the tokens of its candidates, and the true intent of each; "" where it has none."""

    prompt_id: str
    prompt: tuple[int, ...]
    replies: tuple[tuple[int, ...], ...]
    intents: tuple[str, ...]

    def distinct(self) -> CandidateGroup:
        """Each candidate that has tokens and an intent, once: copies would be clusters by themselves."""
        kept = {
            reply: intent for reply, intent in zip(self.replies, self.intents, strict=True) if reply and intent != ""
        }
        return CandidateGroup(self.prompt_id, self.prompt, tuple(kept), tuple(kept.values()))


@dataclass(frozen=True, slots=True)
class ClusterProfile:
    """P prompts at layers 0 to L; NaN where a prompt has too few distinct candidates.

    `silhouette_PL` in [-1, 1] is of the true intents: above 0 where a state is nearer to its own intent's than to the
    next. `found_PL` is the number of clusters, `agreement_PL` how well they match the intents (adjusted mutual
    information; 1 is the same partition, 0 chance). `intents_P` and `distinct_P` count true intents and candidates.
    """

    prompt_ids: tuple[str, ...]
    silhouette_PL: Floats
    found_PL: Floats
    agreement_PL: Floats
    intents_P: Floats
    distinct_P: Floats


@dataclass(frozen=True, slots=True)
class LayerClusters:
    """One layer of one arm: means over prompts, and the error of the number of clusters, found - true."""

    layer: int
    silhouette: Estimate
    found: float
    true: float
    excess: Estimate
    agreement: Estimate


@dataclass(frozen=True, slots=True)
class ClusterSummary:
    """All layers of one arm; intervals of one quantity hold together at `level`; `undefined` prompts are left out."""

    arm: str
    level: float
    undefined: int
    layers: tuple[LayerClusters, ...]

    def rows(self) -> list[Row]:
        """One row a layer."""
        return [self._row(layer) for layer in self.layers]

    @property
    def sentence(self) -> str:
        """At which layer intents are told apart best, and whether clusters are as many, in words."""
        defined = [layer for layer in self.layers if layer.silhouette.n]
        if not defined:
            return f"{self.arm}: no prompt has enough distinct candidates of several intents."
        best = max(defined, key=lambda layer: layer.silhouette.value)
        if not best.silhouette.low > 0:
            return f"{self.arm}: at no layer do states lie nearer to their own intent beyond chance."
        return (
            f"{self.arm}: intents part best at layer {best.layer} (silhouette {best.silhouette}, agreement "
            f"{best.agreement}); {best.found:.2f} clusters for {best.true:.2f} true intents "
            f"({best.silhouette.n} prompts, {self.undefined} left out)."
        )

    def _row(self, layer: LayerClusters) -> Row:
        row: Row = {"arm": self.arm, "layer": layer.layer, "found": layer.found, "true": layer.true}
        estimates = {"silhouette": layer.silhouette, "excess": layer.excess, "agreement": layer.agreement}
        for name, estimate in estimates.items():
            row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        return row | {"prompts": layer.silhouette.n, "undefined": self.undefined}


def cluster_states(model: Any, groups: Sequence[CandidateGroup]) -> ClusterProfile:
    """Read every prompt's candidates and cluster their states at every layer.

    Raises: InputError without groups, or for a prompt given twice.
    """
    if not groups or len({group.prompt_id for group in groups}) < len(groups):
        raise InputError("candidates of at least one prompt are needed, and each prompt once")
    kept = [group.distinct() for group in groups]
    measured = [_measure_group(model, group) for group in kept]
    depth = max((len(rows) for rows in measured), default=0)
    filled_PL3 = np.array([rows if len(rows) else np.full((depth, 3), np.nan) for rows in measured])
    return ClusterProfile(
        prompt_ids=tuple(group.prompt_id for group in groups),
        silhouette_PL=filled_PL3[:, :, 0],
        found_PL=filled_PL3[:, :, 1],
        agreement_PL=filled_PL3[:, :, 2],
        intents_P=np.array([len(set(group.intents)) for group in kept], float),
        distinct_P=np.array([len(group.replies) for group in kept], float),
    )


def candidate_states(model: Any, group: CandidateGroup) -> Floats:
    """Mean state of each candidate at layers 0 to L, shape (L + 1, K, D), each position at unit root mean square."""
    import torch

    ids, mask = pad_left(
        [[*group.prompt, *reply] for reply in group.replies], int(model.generation_config.pad_token_id or 0)
    )
    own = torch.zeros_like(mask)
    for row, reply in enumerate(group.replies):
        own[row, -len(reply) :] = 1
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    device = next(model.parameters()).device
    inputs = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
    with torch.no_grad(), residual_stream(model) as stream:
        model(**{name: tensor.to(device) for name, tensor in inputs.items()}, use_cache=False, logits_to_keep=1)
        return torch.stack([_averaged(state, own.to(device)) for state in stream]).cpu().numpy()


def count_clusters(distances_KK: Floats) -> tuple[int, Floats]:
    """The number of clusters among K >= 3 points, and each point's label (K,)."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform
    from sklearn.metrics import silhouette_score

    points = len(distances_KK)
    tree = linkage(squareform(distances_KK, checks=False), "average")
    best, labels_K = STRUCTURE, np.ones(points)
    for wanted in range(2, points):
        candidate_K = fcluster(tree, wanted, "maxclust")
        if 1 < len(set(candidate_K)) < points:
            score = float(silhouette_score(distances_KK, candidate_K, metric="precomputed"))
            if score > best:
                best, labels_K = score, candidate_K
    return len(set(labels_K.tolist())), labels_K


def summarise_clusters(
    arm: str, profiles: Sequence[ClusterProfile], rng: np.random.Generator, level: float = 0.95
) -> ClusterSummary:
    """Summarise an arm's seeds (their mean, prompt by prompt) with intervals over prompts.

    A prompt counts where every quantity is defined for every seed.

    Raises: InputError where profiles are of different prompts, or there is none.
    """
    if not profiles or any(profile.prompt_ids != profiles[0].prompt_ids for profile in profiles):
        raise InputError(f"{arm}: seeds must have the same prompts in the same order, and there must be at least one")
    stacked = [
        np.mean([values(profile) for profile in profiles], axis=0)
        for values in (
            lambda p: p.silhouette_PL,
            lambda p: p.found_PL,
            lambda p: p.agreement_PL,
            lambda p: np.repeat(p.intents_P[:, None], p.found_PL.shape[1], axis=1),
        )
    ]
    known_P = ~np.isnan(np.concatenate(stacked, axis=1)).any(axis=1)
    silhouette_PL, found_PL, agreement_PL, true_PL = (values_PL[known_P] for values_PL in stacked)
    estimates = [joint_intervals(x_PL, rng, level) for x_PL in (silhouette_PL, found_PL - true_PL, agreement_PL)]
    layers = tuple(
        LayerClusters(layer, s, float(_mean(found_PL[:, layer])), float(_mean(true_PL[:, layer])), e, g)
        for layer, (s, e, g) in enumerate(zip(*estimates, strict=True))
    )
    return ClusterSummary(arm, level, int((~known_P).sum()), layers)


def _measure_group(model: Any, group: CandidateGroup) -> Floats:
    """Silhouette, clusters found and agreement at every layer, (L + 1, 3); empty for no candidate."""
    from sklearn.metrics import adjusted_mutual_info_score, silhouette_score

    if not group.replies:
        return np.empty((0, 3))
    states_LKD = candidate_states(model, group)
    points, kinds = len(group.replies), len(set(group.intents))
    rows = np.full((len(states_LKD), 3), np.nan)
    for layer, states_KD in enumerate(states_LKD):
        distances_KK = _distances(states_KD)
        if 2 <= kinds < points:
            rows[layer, 0] = silhouette_score(distances_KK, list(group.intents), metric="precomputed")
        if points > 2:
            found, labels_K = count_clusters(distances_KK)
            rows[layer, 1:] = found, adjusted_mutual_info_score(list(group.intents), labels_K)
    return rows


def _averaged(state_BTD: torch.Tensor, own_BT: torch.Tensor) -> torch.Tensor:
    scaled_BTD = state_BTD.double()
    scaled_BTD = scaled_BTD / scaled_BTD.pow(2).mean(-1, keepdim=True).sqrt().clamp(min=1e-12)
    return (scaled_BTD * own_BT[..., None]).sum(1) / own_BT.sum(1, keepdim=True)


def _distances(states_KD: Floats) -> Floats:
    from scipy.spatial.distance import pdist, squareform

    return squareform(pdist(states_KD))


def _mean(values_P: Floats) -> float:
    return float(values_P.mean()) if len(values_P) else math.nan
