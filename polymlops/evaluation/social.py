"""The stage that scores social replies: true quality of every candidate, diversity within every prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import polars.selectors as cs

from polymlops.config.slices import ScoreSpec
from polymlops.data.truth import Truth, knows_truth, load_truth
from polymlops.evaluation.shards import ALONE, Frames, ScoreShard, Sharing, by_block, gathered
from polymlops.evaluation.social_reward import VERSION, judge_by_reward
from polymlops.metrics.lexical import compression_ratio, distinct_n, self_bleu
from polymlops.metrics.pass_at_k import pass_at_k_curve
from polymlops.metrics.semantic import distinct_at_k, mean_pairwise_distance, vendi_score
from polymlops.metrics.user_selection import usq_at_k
from polymlops.records import Job

if TYPE_CHECKING:
    from polymlops.training.reward_model import RewardModel

SELECTOR = "selector_"
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


@dataclass(frozen=True, slots=True)
class SocialInputs:
    """Folders: sample set, dataset, base model, and the trained reward model where there is one."""

    samples: Path
    dataset: Path
    base: Path
    reward_model: Path | None = None


def score_samples(spec: ScoreSpec, inputs: SocialInputs, job: Job, sharing: Sharing = ALONE) -> dict[str, float]:
    """Write `scores.parquet`, one row a candidate, and `diversity.parquet`, one row a prompt; return the arm's metrics.

    `passed` is true quality at or above the world's threshold, under the named version of the quality; on other data
    than the world's, quality is the reward model's opinion (`social_reward`) and no selector. Selectors are
    what could rank candidates without the truth: `selector_logprob` (mean log-probability a token),
    `selector_length`, and `selector_reward` where there is a reward model.

    Raises:
        InputError: the samples answer prompts of another dataset.
    """
    frame = pl.read_parquet(inputs.samples / "samples.parquet")
    tables = gathered(SocialShards(), inputs, frame, sharing, job)
    for name, table in tables.items():
        table.write_parquet(job.output / f"{name}.parquet")
    return _summary(spec, tables["scores"], tables["diversity"])


@dataclass(frozen=True, slots=True)
class SocialShards:
    """Tables of a shard: `scores`, one row a candidate; `diversity`, one row a prompt."""

    @contextmanager
    def opened(self, inputs: SocialInputs) -> Iterator[ScoreShard]:
        """Load samples, encoder, and the truth or the reward model that stands in for it."""
        from polymlops.models.encoder import load_encoder
        from polymlops.training.reward_model import load_reward_model

        frame = pl.read_parquet(inputs.samples / "samples.parquet")
        known = knows_truth(inputs.dataset)
        truth = load_truth(inputs.dataset) if known else None
        reward = load_reward_model(inputs.reward_model) if inputs.reward_model is not None else None
        tools = _Tools(truth, reward, load_encoder(inputs.base / "encoder"))
        yield lambda shard: by_block(shard.of(frame), tools.score)


@dataclass(frozen=True, slots=True)
class _Tools:
    truth: Truth | None
    reward: RewardModel | None
    encoder: Any

    def score(self, frame: pl.DataFrame) -> Frames:
        scores = _judge(frame, self.truth) if self.truth is not None else _guess(frame, self.reward)
        diversity = _diversity(frame, scores, self.encoder)
        if self.truth is not None and self.reward is not None:  # as a selector it would be judged by itself
            scores = scores.with_columns(_rewards(frame, self.reward))
        return {"scores": scores, "diversity": diversity}


def _judge(frame: pl.DataFrame, truth: Truth) -> pl.DataFrame:
    rows = []
    for row in frame.iter_rows(named=True):
        verdict = truth.judge(row["prompt_id"], row["text"])
        rows.append(
            (
                *(row["arm"], row["seed"], row["domain"], row["prompt_id"], row["sample_id"]),
                *(verdict.passed, verdict.quality, verdict.intent, verdict.well_formed),
                *(row["logprob"] / row["token_count"], float(len(row["text"])), truth.version),
            )
        )
    return pl.DataFrame(rows, schema=SCORES, orient="row")


def _guess(frame: pl.DataFrame, reward: RewardModel | None) -> pl.DataFrame:
    judged = judge_by_reward(frame, reward)
    measured = frame.select(
        *("arm", "seed", "domain", "prompt_id", "sample_id"),
        selector_logprob=pl.col("logprob") / pl.col("token_count"),
        selector_length=pl.col("text").str.len_chars().cast(pl.Float64),
    )
    return pl.concat([measured, judged], how="horizontal").select(
        pl.col(name).cast(dtype) for name, dtype in SCORES.items()
    )


def _rewards(frame: pl.DataFrame, reward: RewardModel) -> pl.Series:
    values = reward.score(frame["prompt"].to_list(), frame["text"].to_list())
    return pl.Series("selector_reward", values, dtype=pl.Float64)


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
    known = set(scores["quality_version"]) != {VERSION}
    intents_PK = [[intent if intent else "" for intent in row] for row in by_prompt["intent"].to_list()]
    known_PK = [[bool(intent) for intent in row] for row in intents_PK]
    metrics = {f"pass_at_{k}": value for k, value in curve.items()}
    for k in spec.ks if known else ():
        metrics[f"distinct_intents_at_{k}"] = float(np.mean(distinct_at_k(intents_PK, k, known_PK)))
    metrics |= _selected(scores, max(spec.ks))
    metrics["quality"] = float(np.mean(by_prompt["quality"].to_numpy()))
    metrics["well_formed"] = float(np.mean(by_prompt["well_formed"].to_numpy()))
    for name in diversity.columns[1 if known else 2 :]:  # the first is of intents
        metrics[name] = float(np.mean(diversity[name].to_numpy()))
    return {f"{spec.domain}/{name}": value for name, value in metrics.items()}


def _selected(scores: pl.DataFrame, k: int) -> dict[str, float]:
    """Mean USQ by each selector, of k shown."""
    grouped = scores.group_by("prompt_id", maintain_order=True).agg(pl.col("quality"), cs.starts_with(SELECTOR))
    quality_PK = np.array(grouped["quality"].to_list())
    names = [name for name in grouped.columns if name.startswith(SELECTOR)]
    return {
        f"usq_{name.removeprefix(SELECTOR)}_at_{k}": float(
            np.mean(usq_at_k(quality_PK, np.array(grouped[name].to_list()), k))
        )
        for name in names
    }
