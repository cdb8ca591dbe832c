"""Diversity of wording among the candidates of one prompt.

Always within a prompt first: pooling over prompts measures the spread of topics. `texts` are the candidates of one
prompt, the tokenizer is an argument, and an n-gram never crosses from one text into the next.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Sequence

import numpy as np

from polymlops.errors import MetricError
from polymlops.metrics.arrays import Ints
from polymlops.metrics.candidate_bleu import Smoothing, pairwise_bleu, self_bleu, self_bleu_scores
from polymlops.metrics.pass_at_k import pass_at_k
from polymlops.metrics.tokens import Tokenizer, joined_texts, token_table, whitespace

__all__ = [
    "Smoothing",
    "compression_ratio",
    "distinct_n",
    "expectation_adjusted_distinct",
    "ngram_entropy",
    "pairwise_bleu",
    "rarefied_distinct_n",
    "self_bleu",
    "self_bleu_scores",
    "self_repetition",
]


def distinct_n(texts: Sequence[str], n: int, tokenizer: Tokenizer = whitespace) -> float:
    """Share of different n-grams among all n-grams of the candidates, in (0, 1]; NaN where there is none.

    It falls with the amount of text: compare at equal amounts, or use `rarefied_distinct_n`.

    Raises: MetricError where `texts` is not a list of strings, or n is below 1.
    Source: Li et al. 2016, arXiv:1510.03055.
    """
    counts_V = _ngram_counts(texts, n, tokenizer)
    return len(counts_V) / int(counts_V.sum()) if len(counts_V) else math.nan


def expectation_adjusted_distinct(
    texts: Sequence[str], n: int, vocabulary_size: int, tokenizer: Tokenizer = whitespace
) -> float:
    """Different n-grams over the number expected from uniform draws, V (1 - ((V-1)/V)^N) for N n-grams; NaN for N = 0.

    `vocabulary_size` is V, the number of n-grams that could occur (the tokenizer's vocabulary for n = 1).

    Raises: MetricError as in `distinct_n`, and for a vocabulary below 1.
    Source: Liu et al. 2022, arXiv:2202.13587, eq. 4.
    """
    if vocabulary_size < 1:
        raise MetricError(f"vocabulary_size must be 1 or more, not {vocabulary_size}")
    counts_V = _ngram_counts(texts, n, tokenizer)
    total = int(counts_V.sum())
    if total == 0:
        return math.nan
    if vocabulary_size == 1:
        return float(len(counts_V))
    expected = -vocabulary_size * math.expm1(total * math.log1p(-1 / vocabulary_size))
    return len(counts_V) / expected


def rarefied_distinct_n(texts: Sequence[str], n: int, tokens: int, tokenizer: Tokenizer = whitespace) -> float:
    """Expected distinct-n of `tokens` n-grams drawn without replacement from those of the candidates, in (0, 1].

    (1/m) sum_v [1 - C(N-c_v,m)/C(N,m)] for m = `tokens`, N n-grams, c_v of type v: flat in length, where distinct-n
    and its expectation-adjusted form are not. NaN where there are fewer than `tokens` n-grams.

    Raises: MetricError as in `distinct_n`, and for `tokens` below 1.
    Source: rarefaction, Hurlbert 1971, applied to n-grams (ours).
    """
    counts_V = _ngram_counts(texts, n, tokenizer)
    if tokens < 1:
        raise MetricError(f"tokens must be 1 or more, not {tokens}")
    total = int(counts_V.sum())
    if total < tokens:
        return math.nan
    sizes, types = np.unique(counts_V, return_counts=True)
    return float(types @ pass_at_k(total, sizes, tokens)) / tokens


def ngram_entropy(texts: Sequence[str], n: int, tokenizer: Tokenizer = whitespace) -> float:
    """Shannon entropy of the n-grams of the candidates, in nats; NaN where there is none.

    Raises: MetricError as in `distinct_n`.
    Source: Zhang et al. 2018, arXiv:1809.05972, eq. 9.
    """
    counts_V = _ngram_counts(texts, n, tokenizer)
    if len(counts_V) == 0:
        return math.nan
    share_V = counts_V / counts_V.sum()
    return max(0.0, -float(share_V @ np.log(share_V)))


def compression_ratio(texts: Sequence[str]) -> float:
    """Bytes of the candidates, one a line, over bytes after gzip; higher means more redundant. NaN where empty.

    Raises: MetricError where `texts` is not a list of strings.
    Source: Shaib et al. 2024, arXiv:2403.00553; level 9, no time stamp, one pass in memory.
    """
    # Generated text may hold lone surrogates, which UTF-8 refuses unless told otherwise.
    raw = joined_texts(texts, "\n").encode(errors="surrogatepass")
    # A level above the default costs little at this size; mtime would make equal texts differ.
    return len(raw) / len(gzip.compress(raw, compresslevel=9, mtime=0)) if raw else math.nan


def self_repetition(texts: Sequence[str], n: int = 4, tokenizer: Tokenizer = whitespace) -> float:
    """Mean over candidates of log(1 + sum over its n-grams of the other candidates that hold it); NaN below two.

    0: no n-gram is shared.

    Raises: MetricError as in `distinct_n`.
    Source: Salkar et al. 2022; as stated in Shaib et al. 2024, arXiv:2403.00553, section 3.
    """
    from polymlops.metrics.ngram_kernels import ngram_numbers

    table = token_table(texts, tokenizer)
    candidates = len(table.lengths_K)
    if candidates < 2:
        return math.nan
    grams, kinds = ngram_numbers(table.ids, table.offsets, table.types, _order(n))
    text_of = np.repeat(np.arange(candidates), table.lengths_K)[grams >= 0]
    grams = grams[grams >= 0].astype(np.int64)
    held_in = np.bincount(np.unique(text_of * max(kinds, 1) + grams) % max(kinds, 1), minlength=kinds)
    sums_K = np.bincount(text_of, weights=held_in[grams] - 1, minlength=candidates)
    return float(np.log1p(sums_K).mean())


def _ngram_counts(texts: Sequence[str], n: int, tokenizer: Tokenizer) -> Ints:
    """Occurrences of each different n-gram over all texts."""
    from polymlops.metrics.ngram_kernels import ngram_numbers

    table = token_table(texts, tokenizer)
    grams, kinds = ngram_numbers(table.ids, table.offsets, table.types, _order(n))
    return np.bincount(grams[grams >= 0], minlength=kinds)


def _order(n: int) -> int:
    if n < 1:
        raise MetricError(f"n must be 1 or more, not {n}")
    return n
