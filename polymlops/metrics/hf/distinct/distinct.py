"""Distinct-n: share of different n-grams among all n-grams of a prompt's candidates, 0 to 1.

Args:
    predictions: for each prompt the list of its candidates.
    n: orders, default [1, 2].
    tokens: where given, `rarefied_distinct_n` at that many n-grams is added; unlike distinct-n it compares texts of
        different length.

Returns for each order the mean over prompts; NaN where a prompt has no n-gram (or fewer than `tokens`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polymlops.metrics.hf.evaluation_module import evaluation_module
from polymlops.metrics.lexical import distinct_n, rarefied_distinct_n

CITATION = "Li et al. 2016, arXiv:1510.03055; rarefaction: Hurlbert 1971"


def compute(predictions: list[list[str]], n: Sequence[int] = (1, 2), tokens: int | None = None) -> dict[str, float]:
    """Distinct-n, and rarefied distinct-n where `tokens` is given, averaged over prompts."""
    scores = {f"distinct_{order}": float(np.mean([distinct_n(texts, order) for texts in predictions])) for order in n}
    if tokens is not None:
        for order in n:
            values = [rarefied_distinct_n(texts, order, tokens) for texts in predictions]
            scores[f"rarefied_distinct_{order}"] = float(np.mean(values))
    return scores


Distinct = evaluation_module(str(__doc__), CITATION, [{"predictions": "strings"}], compute)
