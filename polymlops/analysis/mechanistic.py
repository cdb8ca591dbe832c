"""What fine-tuning did inside the model: attention, hidden states, and the depth at which arms part.

- how each head spreads, and where two arms differ (`measure_attention`, `compare_attention`)
- whether hidden states of a prompt's candidates group by intent (`cluster_states`, `summarise_clusters`)
- at which layer two arms part (`measure_depth`, `compare_depth`)

Gradient norms by layer and loss term are recorded while training runs: `training.gradient_norms`. These are
descriptions: what a layer carries causally is in `lora_ablation`.
"""

from __future__ import annotations

from polymlops.analysis.mechanistic_attention import (
    AttentionComparison,
    AttentionProfile,
    average_profiles,
    compare_attention,
    measure_attention,
)
from polymlops.analysis.mechanistic_clusters import (
    CandidateGroup,
    ClusterProfile,
    ClusterSummary,
    cluster_states,
    summarise_clusters,
)
from polymlops.analysis.mechanistic_lens import DepthComparison, DepthProfile, compare_depth, measure_depth
from polymlops.analysis.mechanistic_readings import Passage

__all__ = [
    "AttentionComparison",
    "AttentionProfile",
    "CandidateGroup",
    "ClusterProfile",
    "ClusterSummary",
    "DepthComparison",
    "DepthProfile",
    "Passage",
    "average_profiles",
    "cluster_states",
    "compare_attention",
    "compare_depth",
    "measure_attention",
    "measure_depth",
    "summarise_clusters",
]
