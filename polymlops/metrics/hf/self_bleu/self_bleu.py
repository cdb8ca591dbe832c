"""Self-BLEU: how alike the candidates of a prompt are, 0 (nothing shared) to 1 (all the same).

Args:
    predictions: for each prompt the list of its candidates.
    max_order: longest n-gram, default 4.
    smoothing: none, method1 (default), method2 or method3, as in NLTK.

Returns `self_bleu`, the mean over prompts, and `per_prompt`. A prompt with one candidate is NaN, and so is the mean.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from polymlops.metrics.hf.evaluation_module import evaluation_module
from polymlops.metrics.lexical import Smoothing, self_bleu

CITATION = "Zhu et al. 2018, Texygen, arXiv:1802.01886"


def compute(predictions: list[list[str]], max_order: int = 4, smoothing: Smoothing = "method1") -> dict[str, Any]:
    """Self-BLEU of each prompt and its mean."""
    per_prompt = [self_bleu(texts, max_order, smoothing) for texts in predictions]
    return {"self_bleu": float(np.mean(per_prompt)), "per_prompt": per_prompt}


SelfBleu = evaluation_module(str(__doc__), CITATION, [{"predictions": "strings"}], compute)
