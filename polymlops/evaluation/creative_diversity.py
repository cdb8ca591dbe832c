"""Diversity of the candidates within each prompt of creative writing: wording, meaning, and NoveltyBench's measures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from polymlops.config.creative import CreativeScoring
from polymlops.evaluation.candidate_diversity import Encode, diversity_by_prompt
from polymlops.evaluation.candidate_groups import CandidateGroup
from polymlops.evaluation.creative_equivalence import Equivalence
from polymlops.metrics.arrays import Floats
from polymlops.metrics.noveltybench import distinct_k, equivalence_classes, utility_k
from polymlops.metrics.tokens import Tokenizer, whitespace

# How long texts are is reported with the sample set: more of it is not more diversity.
LEFT_OUT = ("length",)


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vector of every different text of a sample set."""

    vectors_ND: Any
    index: Mapping[str, int]

    def __call__(self, texts: Sequence[str]) -> Any:
        """Vectors of the texts, (K, D)."""
        return self.vectors_ND[[self.index[text] for text in texts]]


def embed_texts(encoder: Any, texts: pl.Series) -> Embedded:
    """Embed every different text once."""
    from polymlops.models.encoder import embed

    unique = texts.unique(maintain_order=True).to_list()
    return Embedded(embed(encoder, unique), {text: i for i, text in enumerate(unique)})


def within_prompts(
    frame: pl.DataFrame, rarefied: int, encode: Encode | None = None, tokenizer: Tokenizer = whitespace
) -> dict[str, Floats]:
    """Lexical and, with `encode`, semantic diversity of each prompt, in the frame's order of prompts; name -> (P,).

    `frame` holds prompt_id and text, the candidates of a prompt together. Undefined is NaN.
    """
    sizes = frame.group_by("prompt_id", maintain_order=True).len()
    n_P = sizes["len"].to_numpy().astype(np.int64)
    group = CandidateGroup("", 0, tuple(sizes["prompt_id"]), n_P, None, None, "", {}, frame["text"])
    found = diversity_by_prompt(group, tokenizer, rarefied, encode)
    return {name: values_P for name, values_P in found.items() if name not in LEFT_OUT}


def classes(frame: pl.DataFrame, encode: Encode, equivalence: Equivalence) -> pl.Series:
    """The class of each candidate among those of its prompt that say the same, numbered by first appearance."""
    found: list[int] = []
    for texts in frame.group_by("prompt_id", maintain_order=True).agg("text")["text"].to_list():
        found += equivalence_classes(equivalence(texts, np.asarray(encode(texts)))).tolist()
    return pl.Series("class", found, dtype=pl.Int64)


def novelty(frame: pl.DataFrame, quality: pl.Series, scoring: CreativeScoring) -> dict[str, Floats]:
    """NoveltyBench's distinct_k and utility_k of each prompt for each k of the scoring, in the order of drawing.

    Utility is in the unit of quality, [0, 1]; NaN where a text that counts has none.
    """
    with_quality = frame.with_columns(quality.fill_null(math.nan).alias("quality"))
    prompts = with_quality.group_by("prompt_id", maintain_order=True).agg("class", "quality")
    rows = list(zip(prompts["class"].to_list(), prompts["quality"].to_list(), strict=True))
    distinct = {f"novelty_distinct_at_{k}": np.array([distinct_k(labels, k) for labels, _ in rows]) for k in scoring.ks}
    utility = {
        f"novelty_utility_at_{k}": np.array([utility_k(labels, values, k, scoring.patience) for labels, values in rows])
        for k in scoring.ks
    }
    return distinct | utility
