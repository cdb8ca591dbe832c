"""Quality of text against references (BLEU, BERTScore-style), against a model (perplexity), and by itself.

ROUGE has a module of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats, Ints, counts, finite, vector
from polymlops.metrics.tokens import Tokenizer, token_table, whitespace

Encoder = Callable[[Sequence[str]], Sequence[ArrayLike]]


@dataclass(frozen=True, slots=True)
class BertScores:
    """Precision, recall and their harmonic mean, each (M,); cosines, so at most 1. NaN where a text has no token."""

    precision_M: Floats
    recall_M: Floats
    fmeasure_M: Floats


def bleu(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    tokenize: str = "13a",
    smooth_method: str = "exp",
) -> float:
    """Corpus BLEU of the predictions, in [0, 100]; `references` holds the list of references of each prediction.

    NaN without predictions. `tokenize` and `smooth_method` are sacrebleu's names.

    Raises: MetricError where the lengths differ, a prediction has no reference, or a name is unknown to sacrebleu.
    Source: Papineni et al. 2002; Post 2018, arXiv:1804.08771 (sacrebleu, which computes it).
    """
    from sacrebleu.metrics.bleu import BLEU

    if len(predictions) != len(references):
        raise MetricError(f"{len(predictions)} predictions for {len(references)} lists of references")
    if any(isinstance(texts, str) or len(texts) == 0 for texts in references):
        raise MetricError("every prediction needs a list of at least one reference")
    if len(predictions) == 0:
        return math.nan
    if tokenize not in BLEU.TOKENIZERS or smooth_method not in BLEU.SMOOTH_DEFAULTS:
        raise MetricError(f"sacrebleu knows no tokenizer {tokenize!r} with smoothing {smooth_method!r}")
    # sacrebleu wants the i-th references of all predictions together; one more copy of a reference changes nothing.
    most = max(map(len, references))
    streams = [[texts[min(i, len(texts) - 1)] for texts in references] for i in range(most)]
    return float(BLEU(tokenize=tokenize, smooth_method=smooth_method).corpus_score(list(predictions), streams).score)


def bert_score(predictions: Sequence[str], references: Sequence[str], encode: Encoder) -> BertScores:
    """Greedy matching of token embeddings of each prediction with its reference, by cosine.

    `encode` turns texts into one (tokens, dimensions) array each. No idf weights, no rescaling: values of different
    encoders do not compare.

    Raises: MetricError where the lengths differ, or an embedding holds NaN.
    Source: Zhang et al. 2020, arXiv:1904.09675, eq. 1 and 2.
    """
    if len(predictions) != len(references):
        raise MetricError(f"{len(predictions)} predictions for {len(references)} references: one each is needed")
    encoded = [_unit_rows(embedding) for embedding in encode([*predictions, *references])]
    precision_M, recall_M = np.full(len(predictions), np.nan), np.full(len(predictions), np.nan)
    for m, (ours_TD, theirs_TD) in enumerate(
        zip(encoded[: len(predictions)], encoded[len(predictions) :], strict=True)
    ):
        if len(ours_TD) and len(theirs_TD):
            cosine_TT = ours_TD @ theirs_TD.T
            precision_M[m], recall_M[m] = cosine_TT.max(axis=1).mean(), cosine_TT.max(axis=0).mean()
    total_M = precision_M + recall_M
    fmeasure_M = np.divide(2 * precision_M * recall_M, total_M, out=np.full(len(total_M), np.nan), where=total_M != 0)
    return BertScores(precision_M, recall_M, fmeasure_M)


def perplexity(logprob: ArrayLike, token_count: ArrayLike) -> Floats:
    """Perplexity exp(-logprob / tokens) of each text, from its summed natural log-probability; NaN without tokens.

    Raises: MetricError for NaN, shapes that differ, or a log-probability above 0.
    """
    logprob_M, tokens_M = vector(logprob, "logprob"), counts(token_count, "token_count")
    if logprob_M.shape != tokens_M.shape:
        raise MetricError(f"{logprob_M.shape} log-probabilities for {tokens_M.shape} token counts")
    if (logprob_M > 0).any():
        raise MetricError("a log-probability is above 0: pass summed natural logarithms, not losses")
    mean_M = np.divide(logprob_M, tokens_M, out=np.full(len(logprob_M), np.nan), where=tokens_M > 0)
    return np.exp(-mean_M)


def repetition(texts: Sequence[str], n: int = 3, tokenizer: Tokenizer = whitespace) -> Floats:
    """Share of n-grams within each text that repeat an earlier one of the same text, (K,); NaN below n tokens.

    Raises: MetricError where `texts` is not a list of strings, or n is below 1.
    Source: rep-n of Welleck et al. 2020, arXiv:1908.04319, for one text.
    """
    from polymlops.metrics.ngram_kernels import ngram_numbers

    if n < 1:
        raise MetricError(f"n must be 1 or more, not {n}")
    table = token_table(texts, tokenizer)
    grams, kinds = ngram_numbers(table.ids, table.offsets, table.types, n)
    texts_of = np.repeat(np.arange(len(texts)), table.lengths_K)[grams >= 0]
    distinct = np.unique(texts_of * max(kinds, 1) + grams[grams >= 0]) // max(kinds, 1)
    totals_K = np.bincount(texts_of, minlength=len(texts))
    distinct_K = np.bincount(distinct, minlength=len(texts))
    return 1 - np.divide(distinct_K, totals_K, out=np.full(len(texts), np.nan), where=totals_K > 0)


def length(texts: Sequence[str], tokenizer: Tokenizer = whitespace) -> Ints:
    """Tokens of each text, (K,). Raises MetricError where `texts` is not a list of strings."""
    return token_table(texts, tokenizer).lengths_K


def truncated_share(finish_reasons: Sequence[str]) -> float:
    """Share of candidates cut off at the token limit (finish reason "length"); NaN without candidates."""
    if isinstance(finish_reasons, str):
        raise MetricError("finish_reasons is one string: pass a list")
    return sum(reason == "length" for reason in finish_reasons) / len(finish_reasons) if finish_reasons else math.nan


def _unit_rows(embedding_TD: ArrayLike) -> Floats:
    array_TD = finite(embedding_TD, "the encoder's output")
    if array_TD.size == 0:
        return np.empty((0, 1))
    length_T1 = np.linalg.norm(array_TD, axis=1, keepdims=True)
    return np.divide(array_TD, length_T1, out=np.zeros(array_TD.shape), where=length_T1 > 0)
