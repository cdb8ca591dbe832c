"""The stage that scores social replies: true quality of every candidate, diversity within every prompt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from polymlops.config.slices import ScoreSpec
from polymlops.data.truth import Truth, load_truth
from polymlops.data.world_people import PASS_THRESHOLD, QUALITY_VERSION
from polymlops.metrics.lexical import compression_ratio, distinct_n, self_bleu
from polymlops.metrics.pass_at_k import pass_at_k_curve
from polymlops.metrics.semantic import distinct_at_k, mean_pairwise_distance, vendi_score
from polymlops.records import Job

SCORES = {
    "arm": pl.String,
    "seed": pl.Int64,
    "domain": pl.String,
    "prompt_id": pl.String,
    "sample_id": pl.Int64,
    "passed": pl.Boolean,
    "quality": pl.Float64,
    "intent": pl.String,
    "well_formed": pl.Boolean,
    "selector_logprob": pl.Float64,
    "selector_length": pl.Float64,
    "quality_version": pl.String,
}


def score_samples(spec: ScoreSpec, samples: Path, dataset: Path, base: Path, job: Job) -> dict[str, float]:
    """Write `scores.parquet`, one row a candidate, and `diversity.parquet`, one row a prompt; return the arm's metrics.

    `passed` is true quality at or above the world's threshold, under the named version of the quality. Selectors are
    what could rank candidates without the truth: `selector_logprob` (mean log-probability a token),
    `selector_length`.

    Raises:
        InputError: the samples answer prompts of another dataset.
    """
    from polymlops.models.encoder import load_encoder

    frame = pl.read_parquet(samples / "samples.parquet")
    scores = _judge(frame, load_truth(dataset))
    diversity = _diversity(frame, scores, load_encoder(base / "encoder"))
    scores.write_parquet(job.output / "scores.parquet")
    diversity.write_parquet(job.output / "diversity.parquet")
    return _summary(spec, scores, diversity)


def _judge(frame: pl.DataFrame, truth: Truth) -> pl.DataFrame:
    rows = []
    for row in frame.iter_rows(named=True):
        verdict = truth.judge(row["prompt_id"], row["text"])
        rows.append(
            (
                *(row["arm"], row["seed"], row["domain"], row["prompt_id"], row["sample_id"]),
                *(verdict.passed, verdict.quality, verdict.intent, verdict.well_formed),
                *(row["logprob"] / row["token_count"], float(len(row["text"])), f"{QUALITY_VERSION}>={PASS_THRESHOLD}"),
            )
        )
    return pl.DataFrame(rows, schema=SCORES, orient="row")


def _diversity(frame: pl.DataFrame, scores: pl.DataFrame, encoder: Any) -> pl.DataFrame:
    from polymlops.models.encoder import embed

    embeddings_ND = embed(encoder, frame["text"].to_list())
    rows = []
    for prompt_id, rows_of_prompt in _groups(frame):
        intents = scores["intent"].gather(rows_of_prompt).drop_nulls()
        texts = frame["text"].gather(rows_of_prompt).to_list()
        embeddings_KD = embeddings_ND[rows_of_prompt]
        rows.append(
            {"prompt_id": prompt_id, "distinct_intents": float(intents.n_unique())} | _within(texts, embeddings_KD)
        )
    return pl.DataFrame(rows)


def _within(texts: Sequence[str], embeddings_KD: Any) -> dict[str, float]:
    return {
        "semantic_diversity": mean_pairwise_distance(embeddings_KD),
        "vendi": vendi_score(embeddings_KD),
        "self_bleu": self_bleu(texts),
        "distinct_2": distinct_n(texts, 2),
        "compression_ratio": compression_ratio(texts),
        "unique_share": len(set(texts)) / len(texts),
    }


def _groups(frame: pl.DataFrame) -> list[tuple[str, list[int]]]:
    indexed = frame.with_row_index().group_by("prompt_id", maintain_order=True).agg(pl.col("index"))
    return list(zip(indexed["prompt_id"].to_list(), indexed["index"].to_list(), strict=True))


def _summary(spec: ScoreSpec, scores: pl.DataFrame, diversity: pl.DataFrame) -> dict[str, float]:
    """Means over prompts under stable names; intervals come with the report, which sees all arms."""
    by_prompt = scores.group_by("prompt_id", maintain_order=True).agg(
        pl.len().alias("n"),
        pl.col("passed").sum(),
        pl.col("quality").mean(),
        pl.col("intent"),
        pl.col("well_formed").mean(),
    )
    curve = pass_at_k_curve(by_prompt["n"].to_numpy(), by_prompt["passed"].to_numpy(), spec.ks)
    intents_PK = [[intent if intent else "" for intent in row] for row in by_prompt["intent"].to_list()]
    known_PK = [[bool(intent) for intent in row] for row in intents_PK]
    metrics = {f"pass_at_{k}": value for k, value in curve.items()}
    for k in spec.ks:
        metrics[f"distinct_intents_at_{k}"] = float(np.mean(distinct_at_k(intents_PK, k, known_PK)))
    metrics["quality"] = float(np.mean(by_prompt["quality"].to_numpy()))
    metrics["well_formed"] = float(np.mean(by_prompt["well_formed"].to_numpy()))
    for name in diversity.columns[1:]:
        metrics[name] = float(np.mean(diversity[name].to_numpy()))
    return {f"{spec.domain}/{name}": value for name, value in metrics.items()}
