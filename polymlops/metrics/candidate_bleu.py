"""BLEU of candidates against each other: self-BLEU and pairwise BLEU. High means alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats
from polymlops.metrics.tokens import Tokenizer, TokenTable, token_table, whitespace

Smoothing = Literal["none", "method1", "method2", "method3"]
METHODS: dict[Smoothing, int] = {"none": 0, "method1": 1, "method2": 2, "method3": 3}


def self_bleu(
    texts: Sequence[str],
    max_order: int = 4,
    smoothing: Smoothing = "method1",
    tokenizer: Tokenizer = whitespace,
) -> float:
    """Mean BLEU of each candidate against all the others of its prompt, in [0, 1]; NaN below two candidates.

    It grows with the number of candidates: compare at equal K. `smoothing` replaces a precision without matches:
    `method1` by 0.1/total (NLTK's method1, sacrebleu's floor), `method2` adds 1 to matches and total from order 2
    (add-k), `method3` by 1/(2^i total) for the i-th such order (exp), `none` makes the score 0. A candidate that
    shares no word with any other has BLEU 0, as has an empty one. Time is linear in tokens.

    Raises: MetricError where `texts` is not a list of strings, or for an unknown smoothing or order below 1.
    Source: Zhu et al. 2018, arXiv:1802.01886; smoothing: Chen & Cherry 2014; equals NLTK's sentence_bleu, averaged.
    """
    scores_K = self_bleu_scores(texts, max_order, smoothing, tokenizer)
    return float(scores_K.mean()) if len(scores_K) > 1 else math.nan


def self_bleu_scores(
    texts: Sequence[str],
    max_order: int = 4,
    smoothing: Smoothing = "method1",
    tokenizer: Tokenizer = whitespace,
) -> Floats:
    """BLEU of each candidate against all the others, (K,), as averaged by `self_bleu`; NaN for a lone candidate."""
    from polymlops.metrics.ngram_kernels import bleu_scores, closest_other_lengths, leave_one_out_matches

    table = _checked_table(texts, max_order, tokenizer)
    lengths_K = table.lengths_K
    if len(lengths_K) < 2:
        return np.full(len(lengths_K), np.nan)
    matches_NK = leave_one_out_matches(table.ids, table.offsets, table.types, max_order)
    return bleu_scores(matches_NK, lengths_K, closest_other_lengths(lengths_K), _method(smoothing))


def pairwise_bleu(
    texts: Sequence[str],
    max_order: int = 4,
    smoothing: Smoothing = "method1",
    tokenizer: Tokenizer = whitespace,
) -> float:
    """Mean BLEU over all ordered pairs of candidates, in [0, 1]; NaN below two. Unlike self-BLEU it is flat in K.

    Smoothing and errors as in `self_bleu`. Time is quadratic in K.

    Source: Shen et al. 2019, arXiv:1902.07816; equals NLTK's sentence_bleu with one reference, averaged.
    """
    from polymlops.metrics.ngram_kernels import bleu_scores, pairwise_matches

    table = _checked_table(texts, max_order, tokenizer)
    lengths_K = table.lengths_K
    candidates = len(lengths_K)
    if candidates < 2:
        return math.nan
    matches_NKK = pairwise_matches(table.ids, table.offsets, table.types, max_order)
    hypothesis, reference = np.nonzero(~np.eye(candidates, dtype=bool))
    matches_NM = matches_NKK[:, hypothesis, reference]
    return float(bleu_scores(matches_NM, lengths_K[hypothesis], lengths_K[reference], _method(smoothing)).mean())


def _checked_table(texts: Sequence[str], max_order: int, tokenizer: Tokenizer) -> TokenTable:
    if max_order < 1:
        raise MetricError(f"max_order must be 1 or more, not {max_order}")
    return token_table(texts, tokenizer)


def _method(smoothing: Smoothing) -> int:
    if smoothing not in METHODS:
        raise MetricError(f"smoothing must be one of {', '.join(METHODS)}, not {smoothing!r}")
    return METHODS[smoothing]
