"""ROUGE-N, ROUGE-L and ROUGE-Lsum of predictions against references, and ROUGE-L among candidates.

Equal to the rouge_score package: lower case, runs of [a-z0-9], optional Porter stems for words above three letters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats, Ints
from polymlops.metrics.stemmer import porter_stem
from polymlops.metrics.tokens import TokenTable, alphanumeric, token_table


@dataclass(frozen=True, slots=True)
class RougeScores:
    """Precision, recall and their harmonic mean, each (M,) in [0, 1], one a pair of prediction and reference."""

    precision_M: Floats
    recall_M: Floats
    fmeasure_M: Floats


def rouge_n(predictions: Sequence[str], references: Sequence[str], n: int, stem: bool = False) -> RougeScores:
    """Clipped n-gram overlap of each prediction with its reference; 0 where either has no n-gram.

    Raises: MetricError where the lengths differ, an entry is no string, or n is below 1.
    Source: Lin 2004, eq. 1.
    """
    from polymlops.metrics.ngram_kernels import paired_matches

    if n < 1:
        raise MetricError(f"n must be 1 or more, not {n}")
    table, first_M, second_M = _paired_table(predictions, references, stem)
    matches_M = paired_matches(table.ids, table.offsets, table.types, n, first_M, second_M)
    totals_K = np.maximum(table.lengths_K - n + 1, 0)
    return _scores(matches_M, totals_K[first_M], totals_K[second_M])


def rouge_l(predictions: Sequence[str], references: Sequence[str], stem: bool = False) -> RougeScores:
    """Longest common subsequence of each prediction with its reference; 0 where either is empty.

    Raises: MetricError as in `rouge_n`.
    Source: Lin 2004, section 3.1, with beta = 1.
    """
    from polymlops.metrics.lcs_kernels import pair_lcs

    table, first_M, second_M = _paired_table(predictions, references, stem)
    lengths_M = pair_lcs(table.ids, table.offsets, table.types, first_M, second_M)
    return _scores(lengths_M, table.lengths_K[first_M], table.lengths_K[second_M])


def rouge_l_sum(predictions: Sequence[str], references: Sequence[str], stem: bool = False) -> RougeScores:
    """ROUGE-L by sentences, one a line: the union of each reference sentence's subsequences with all predicted ones.

    Raises: MetricError as in `rouge_n`.
    Source: Lin 2004, section 3.2, without counting a token twice, as ROUGE 1.5.5 and rouge_score do.
    """
    from polymlops.metrics.lcs_kernels import union_hits

    _check_pairs(predictions, references)
    lines = [text.split("\n") for text in (*predictions, *references)]
    table = token_table([line for text in lines for line in text], alphanumeric, _stem_of_long if stem else None)
    ends = np.cumsum([0, *map(len, lines)])
    pairs = len(predictions)
    hits_M = np.empty(pairs, dtype=np.int64)
    for m in range(pairs):
        prediction, reference = ends[m : m + 2], ends[pairs + m : pairs + m + 2]
        hits_M[m] = union_hits(table.ids, table.offsets, reference, prediction, table.types)
    lengths = np.diff(table.offsets[ends])
    return _scores(hits_M, lengths[:pairs], lengths[pairs:])


def pairwise_rouge_l(texts: Sequence[str], stem: bool = False) -> float:
    """Mean ROUGE-L F over all pairs of candidates, in [0, 1]; high means alike, NaN below two. Flat in K.

    Raises: MetricError where `texts` is not a list of strings.
    """
    from polymlops.metrics.lcs_kernels import pair_lcs

    table = token_table(texts, alphanumeric, _stem_of_long if stem else None)
    candidates = len(table.lengths_K)
    if candidates < 2:
        return math.nan
    first_M, second_M = np.triu_indices(candidates, 1)
    lengths_M = pair_lcs(table.ids, table.offsets, table.types, first_M, second_M)
    return float(_scores(lengths_M, table.lengths_K[first_M], table.lengths_K[second_M]).fmeasure_M.mean())


def _check_pairs(predictions: Sequence[str], references: Sequence[str]) -> None:
    if isinstance(predictions, str) or isinstance(references, str):
        raise MetricError("predictions and references are lists of strings, not single strings")
    if len(predictions) != len(references):
        raise MetricError(f"{len(predictions)} predictions for {len(references)} references: one each is needed")
    if not all(isinstance(text, str) for text in (*predictions, *references)):
        raise MetricError("predictions and references must be strings")


def _paired_table(predictions: Sequence[str], references: Sequence[str], stem: bool) -> tuple[TokenTable, Ints, Ints]:
    _check_pairs(predictions, references)
    table = token_table([*predictions, *references], alphanumeric, _stem_of_long if stem else None)
    first_M = np.arange(len(predictions))
    return table, first_M, first_M + len(predictions)


def _stem_of_long(token: str) -> str:
    return porter_stem(token) if len(token) > 3 else token


def _scores(matches_M: Ints, predicted_M: Ints, reference_M: Ints) -> RougeScores:
    precision_M, recall_M = matches_M / np.maximum(predicted_M, 1), matches_M / np.maximum(reference_M, 1)
    total_M = precision_M + recall_M
    fmeasure_M = np.divide(2 * precision_M * recall_M, total_M, out=np.zeros(len(total_M)), where=total_M > 0)
    return RougeScores(precision_M, recall_M, fmeasure_M)
