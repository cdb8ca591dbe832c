"""Diversity of the candidates within every prompt, and their length: one value a prompt for each metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import MappingProxyType

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from polymlops.evaluation.candidate_groups import CandidateGroup
from polymlops.metrics.arrays import Floats
from polymlops.metrics.lexical import (
    compression_ratio,
    distinct_n,
    ngram_entropy,
    pairwise_bleu,
    rarefied_distinct_n,
    self_bleu,
)
from polymlops.metrics.quality import length
from polymlops.metrics.semantic import mean_pairwise_distance, vendi_score
from polymlops.metrics.tokens import Tokenizer, alphanumeric, whitespace, words

TOKENIZERS = MappingProxyType({"whitespace": whitespace, "words": words, "alphanumeric": alphanumeric})
Encode = Callable[[Sequence[str]], ArrayLike]
ORDER = 2
# Rarefied to what nearly every prompt has: a few short ones are undefined, and counted, instead of setting the measure.
SHORT_SHARE = 0.05


def common_bigrams(groups: Sequence[CandidateGroup], tokenizer: Tokenizer) -> int:
    """Number of bigrams that 95 % of the prompts of all arms have at least; 0 where that is below two."""
    counts = [
        int(np.maximum(length(texts, tokenizer) - (ORDER - 1), 0).sum())
        for group in groups
        for texts in group.texts_by_prompt()
    ]
    common = int(np.quantile(counts, SHORT_SHARE, method="lower")) if counts else 0
    return common if common > 1 else 0  # one bigram is always distinct


def diversity_by_prompt(
    group: CandidateGroup,
    tokenizer: Tokenizer,
    rarefied: int,
    encode: Encode | None = None,
    done: Callable[[int], object] = int,
) -> dict[str, Floats]:
    """Every diversity metric, name -> (P,), NaN where it has no meaning; nothing without texts.

    `rarefied` is the number of bigrams of the rarefied distinct-2, which carries it in its name; without any it is left
    out. With `encode` there are semantic metrics as well. `done` is told after every prompt.
    """
    rows = []
    for texts in group.texts_by_prompt():
        rows.append(_wording(texts, tokenizer, rarefied) | (_meaning(texts, encode) if encode else {}))
        done(1)
    return {name: np.array([row[name] for row in rows]) for name in rows[0]} if rows else {}


def recorded_diversity(group: CandidateGroup, recorded: pl.DataFrame) -> dict[str, Floats]:
    """The diversity that an earlier scoring recorded for an arm and seed, name -> (P,), NaN where it has none."""
    rows = recorded.filter(pl.col("arm") == group.arm, pl.col("seed") == group.seed).drop("arm", "seed")
    rows = pl.DataFrame({"prompt_id": group.prompts}).join(rows, on="prompt_id", how="left", maintain_order="left")
    known = [column for column in rows if column.dtype.is_numeric() and column.null_count() < len(column)]
    return {column.name: column.cast(pl.Float64).fill_null(math.nan).to_numpy() for column in known}


def _wording(texts: Sequence[str], tokenizer: Tokenizer, rarefied: int) -> dict[str, float]:
    named = (
        {f"rarefied_distinct_2_at_{rarefied}": rarefied_distinct_n(texts, ORDER, rarefied, tokenizer)}
        if rarefied
        else {}
    )
    return {
        "self_bleu": self_bleu(texts, tokenizer=tokenizer),
        "pairwise_bleu": pairwise_bleu(texts, tokenizer=tokenizer),
        "distinct_2": distinct_n(texts, ORDER, tokenizer),
        **named,
        "ngram_entropy_2": ngram_entropy(texts, ORDER, tokenizer),
        "compression_ratio": compression_ratio(texts),
        "duplicate_share": 1 - len(set(texts)) / len(texts),
        "length": float(length(texts, tokenizer).mean()),
    }


def _meaning(texts: Sequence[str], encode: Encode) -> dict[str, float]:
    embeddings_KD = encode(texts)
    return {"semantic_diversity": mean_pairwise_distance(embeddings_KD), "vendi": vendi_score(embeddings_KD)}
