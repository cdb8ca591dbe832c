"""Diversity-efficiency ratio DER@k = pass@k / (k pass@1), with its bounds and coverage efficiency.

Args:
    predictions: for each prompt whether each of its candidates passed.
    k: numbers of candidates, default [1, 5, 10].

Returns for each k `der@k` between `der_low@k` (a collapsed model) and `der_high@k`, and `coverage_efficiency@k`: 0
where each prompt passes always or never, 1 where prompts do not differ. A weaker model has a higher DER: compare at
equal pass@1 only. NaN where no candidate passes, or where a prompt has fewer than k.
"""

from __future__ import annotations

from collections.abc import Sequence

from polymlops.metrics.diversity_efficiency import (
    correct_counts,
    coverage_efficiency,
    der_bounds,
    diversity_efficiency_ratio,
)
from polymlops.metrics.hf.evaluation_module import evaluation_module
from polymlops.metrics.pass_at_k import pass_at_k_curve

CITATION = "pass@k: Chen et al. 2021, arXiv:2107.03374; the ratio, its bounds and coverage efficiency: polymlops"


def compute(predictions: list[list[bool]], k: Sequence[int] = (1, 5, 10)) -> dict[str, float]:
    """DER, its bounds and coverage efficiency for each k."""
    correct = correct_counts(predictions)
    smallest = int(correct.n_P.min())
    curve = pass_at_k_curve(correct.n_P, correct.c_P, sorted({1, *(size for size in k if size <= smallest)}))
    ratio, bounds = diversity_efficiency_ratio(curve), der_bounds(curve)
    scores: dict[str, float] = {}
    for size in k:
        known = size in curve
        scores[f"der@{size}"] = ratio[size] if known else float("nan")
        scores[f"der_low@{size}"] = bounds[size].low if known else float("nan")
        scores[f"der_high@{size}"] = bounds[size].high if known else float("nan")
        scores[f"coverage_efficiency@{size}"] = coverage_efficiency(predictions, size)
    return scores


Der = evaluation_module(str(__doc__), CITATION, [{"predictions": "booleans"}], compute)
