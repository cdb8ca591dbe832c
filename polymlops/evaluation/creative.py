"""The stage that scores creative writing: quality and fluency of every text, diversity within every prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import polars.selectors as cs

from polymlops.config.creative import CreativeScoreSpec
from polymlops.config.judge import JudgeConfig
from polymlops.errors import InputError
from polymlops.evaluation.creative_diversity import classes, embed_texts, novelty, within_prompts
from polymlops.evaluation.creative_equivalence import ByCosine, Equivalence, calibrate, read_labelled_pairs
from polymlops.evaluation.creative_perplexity import BaseReader, Text
from polymlops.evaluation.creative_quality import (
    JUDGE,
    QUALITIES,
    Judged,
    is_worlds,
    judge_texts,
    judged_qualities,
    true_qualities,
)
from polymlops.evaluation.human_ratings import HUMAN, join_ratings
from polymlops.evaluation.judge_agreement import agreement_metrics, score_agreement
from polymlops.evaluation.shards import ALONE, Frames, ScoreShard, Sharing, by_block, gathered
from polymlops.metrics.pass_at_k import pass_at_k
from polymlops.metrics.quality import perplexity, repetition
from polymlops.metrics.semantic import distinct_at_k
from polymlops.records import Job

KEYS = ("prompt_id", "sample_id")
IDENTITY = ("arm", "seed", "domain", *KEYS)
SCORED = ("passed", "quality", "intent", "well_formed", "selector_logprob", "selector_length", "quality_version")
LIKELIHOODS = ("base_logprob", "base_tokens", "perplexity")
REPEATED = 3  # words that come again in one text


@dataclass(frozen=True, slots=True)
class CreativeInputs:
    """Folders: sample set, encoder of meanings, and the base model, without which there is no perplexity.

    `verdicts` is the judges' store, which arms may share (else it lies in the job's scratch); judges are those of the
    spec, with their address, pace and budget.
    """

    samples: Path
    encoder: Path
    base: Path | None = None
    verdicts: Path | None = None
    judge: JudgeConfig | None = None
    second_judge: JudgeConfig | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """Which texts say the same, and what is known about the rule."""

    equivalence: Equivalence
    metrics: Mapping[str, float]


def score_creative(
    spec: CreativeScoreSpec,
    inputs: CreativeInputs,
    job: Job,
    equivalence: Equivalence | None = None,
    sharing: Sharing = ALONE,
) -> dict[str, float]:
    """Write `scores.parquet`, one row a candidate, and `diversity.parquet`, one row a prompt; return the arm's metrics.

    Quality in [0, 1] is the embedded world's truth for its own prompts, else the judge's mean, else null; `passed` is
    quality at or above `spec.scoring.passes`. What has no value is null, and counted: `<metric>_undefined` prompts.
    `spec.labelled_pairs` (JSON lines of first, second, same) replace the threshold of equivalence, and so does
    `equivalence`; `spec.ratings` is a CSV of people's ratings. With a judge there is `verdicts.parquet` too, and with a
    second one `second_verdicts.parquet` and the agreement of both.

    Raises:
        InputError: the sample set is empty or of another arm, or a pair or rating cannot be used.
        UsageError: the judge lets nobody in; its verdicts so far are kept.
        StageError: the judge's budget ended, or its endpoint failed, before the last text.
    """
    frame = _samples(spec, inputs.samples)
    rule = _rule(spec, inputs.encoder) if equivalence is None else Rule(equivalence, {})
    work = CreativeShards(spec, rule.equivalence, is_worlds(frame["prompt"].unique().to_list()))
    tables = gathered(work, inputs, frame, sharing, job)
    frame = frame.with_columns(tables["texts"]["class"])
    judged = _judged(inputs, frame, job)
    scores = _scores(spec, frame, tables["texts"], judged)
    diversity = _diversity(spec, frame, scores, tables["prompts"])
    scores.write_parquet(job.output / "scores.parquet")
    diversity.write_parquet(job.output / "diversity.parquet")
    metrics = _summary(spec, scores, diversity) | dict(rule.metrics) | dict(judged.metrics if judged else {})
    metrics |= _agreement(inputs, frame, judged, job)
    return {f"{spec.domain}/{name}": value for name, value in metrics.items()}


@dataclass(frozen=True, slots=True)
class CreativeShards:
    """Tables of a shard: `texts`, one row a candidate, and `prompts`; judges, who keep a budget, are asked after it.

    `known`: all prompts of the set are the world's.
    """

    spec: CreativeScoreSpec
    equivalence: Equivalence
    known: bool

    @contextmanager
    def opened(self, inputs: CreativeInputs) -> Iterator[ScoreShard]:
        """Load samples, encoder, and the base model where there is one."""
        from polymlops.models.encoder import load_encoder

        frame, encoder = _samples(self.spec, inputs.samples), load_encoder(inputs.encoder)
        reader = BaseReader.load(inputs.base) if inputs.base is not None else None

        def score(block: pl.DataFrame) -> Frames:
            encode = embed_texts(encoder, block["text"])
            found = [classes(block, encode, self.equivalence).to_frame(), _repetition(block)]
            found += [true_qualities(block)] if self.known else []
            found += [_perplexities(block, reader)] if reader is not None else []
            prompts = block.select("prompt_id").unique(maintain_order=True)
            within = within_prompts(block, self.spec.scoring.rarefied, encode)
            return {
                "texts": pl.concat(found, how="horizontal"),
                "prompts": prompts.hstack([pl.Series(name, values_P) for name, values_P in within.items()]),
            }

        yield lambda shard: by_block(shard.of(frame), score)


def _samples(spec: CreativeScoreSpec, folder: Path) -> pl.DataFrame:
    frame = pl.read_parquet(folder / "samples.parquet").sort("prompt_id", "sample_id")
    found = {f"{arm}/{seed}" for arm, seed in frame.select("arm", "seed").unique().iter_rows()}
    if found != {f"{spec.arm}/{spec.seed}"}:
        said = ", ".join(sorted(found)) or "nothing"
        raise InputError(f"the sample set is of {said}, not of {spec.arm}/{spec.seed}: give that arm's")
    return frame


def _rule(spec: CreativeScoreSpec, encoder: Path) -> Rule:
    if spec.labelled_pairs is None:
        threshold = spec.scoring.equivalence
        return Rule(ByCosine(threshold), {"equivalence_threshold": threshold})
    from polymlops.models.encoder import load_encoder

    fit = calibrate(load_encoder(encoder), read_labelled_pairs(spec.labelled_pairs))
    metrics = {
        "equivalence_threshold": fit.threshold,
        "equivalence_balanced_accuracy": fit.balanced_accuracy,
        "equivalence_pairs": float(fit.equivalent + fit.different),
    }
    return Rule(ByCosine(fit.threshold), metrics)


def _judged(inputs: CreativeInputs, frame: pl.DataFrame, job: Job) -> Judged | None:
    if inputs.judge is None:
        return None
    judged = judge_texts(inputs.judge, frame, _store(inputs, job))
    judged.verdicts.write_parquet(job.output / "verdicts.parquet")
    return judged


def _agreement(inputs: CreativeInputs, frame: pl.DataFrame, first: Judged | None, job: Job) -> dict[str, float]:
    """`agreement/<criterion>/<coefficient>` of both judges, with intervals over prompts; nothing without a second."""
    if inputs.second_judge is None or first is None:
        return {}
    second = judge_texts(inputs.second_judge, frame, _store(inputs, job))
    second.verdicts.write_parquet(job.output / "second_verdicts.parquet")
    prompt_of = {f"{prompt_id}/{sample_id}": prompt_id for prompt_id, sample_id in frame.select(KEYS).iter_rows()}
    found = score_agreement(first.report, second.report, np.random.default_rng(0), clusters=prompt_of)
    agreement = {
        name: value
        for criterion, item in found.items()
        for name, value in agreement_metrics(item, f"agreement/{criterion}").items()
    }
    return agreement | {"second_judge/dollars": second.metrics["judge/dollars"]}


def _store(inputs: CreativeInputs, job: Job) -> Path:
    return inputs.verdicts or job.scratch / "verdicts.sqlite"


def _scores(spec: CreativeScoreSpec, frame: pl.DataFrame, texts: pl.DataFrame, judged: Judged | None) -> pl.DataFrame:
    known = "quality" in texts.columns
    quality = texts.select(*QUALITIES) if known else judged_qualities(frame, judged)
    text = pl.col("text")
    scores = pl.concat([frame, quality], how="horizontal").with_columns(
        passed=pl.col("quality") >= spec.scoring.passes,
        selector_logprob=pl.col("logprob") / pl.col("token_count"),
        selector_length=text.str.len_chars().cast(pl.Float64),
        quality_version=pl.format(f"{{}}>={spec.scoring.passes:g}", "quality_version"),
        repetition=texts["repetition"],
        truncated=pl.col("finish_reason") == "length",
    )
    kept = scores.select(*IDENTITY, *SCORED, "class", "repetition", "truncated")
    parts = [kept, texts.select(cs.by_name(*LIKELIHOODS, require_all=False))]
    parts += [judged.columns] if judged else []
    parts += [join_ratings(frame, spec.ratings)] if spec.ratings else []
    return pl.concat(parts, how="horizontal")


def _repetition(block: pl.DataFrame) -> pl.DataFrame:
    values = pl.Series("repetition", repetition(block["text"].to_list(), REPEATED))
    return values.fill_nan(None).to_frame()


def _perplexities(block: pl.DataFrame, reader: BaseReader) -> pl.DataFrame:
    """base_logprob (nats), base_tokens and perplexity of each text under the base model."""
    texts = [
        Text(prompt, text, reason == "stop")
        for prompt, text, reason in block.select("prompt", "text", "finish_reason").iter_rows()
    ]
    read = reader.likelihoods(texts)
    logprobs, tokens = [item.logprob for item in read], [item.tokens for item in read]
    values = pl.Series(perplexity(logprobs, tokens)).fill_nan(None)
    return pl.DataFrame(dict(zip(LIKELIHOODS, (logprobs, tokens, values), strict=True)))


def _diversity(
    spec: CreativeScoreSpec, frame: pl.DataFrame, scores: pl.DataFrame, within: pl.DataFrame
) -> pl.DataFrame:
    """One row a prompt; perplexity is that of all its texts together, and rates are shares of them."""
    of_texts = [pl.col("repetition").mean(), pl.col("truncated").mean(), cs.starts_with(HUMAN).mean()]
    of_texts.append((cs.starts_with(JUDGE) & cs.numeric()).mean())
    if "base_tokens" in scores.columns:
        tokens = pl.col("base_tokens").sum()
        mean = pl.col("base_logprob").sum() / tokens
        of_texts.append(pl.when(tokens > 0).then((-mean).exp()).alias("perplexity"))
    by_prompt = scores.group_by("prompt_id", maintain_order=True).agg(of_texts)
    columns = [within[name] for name in within.columns[1:]]
    columns += [pl.Series(name, values_P) for name, values_P in novelty(frame, scores["quality"], spec.scoring).items()]
    return by_prompt.hstack([column.fill_nan(None) for column in columns])


def _summary(spec: CreativeScoreSpec, scores: pl.DataFrame, diversity: pl.DataFrame) -> dict[str, float]:
    """Means over the prompts where a metric is defined, and how many are not; intervals come with the report."""
    by_prompt = _by_prompt(spec, scores) | {name: diversity[name].cast(pl.Float64) for name in diversity.columns[1:]}
    metrics = {}
    for name, values in by_prompt.items():
        known = values.fill_nan(None).drop_nulls()
        metrics[name] = float(known.mean()) if len(known) else float("nan")  # type: ignore[arg-type]  # not empty
        if len(known) < len(values):
            metrics[f"{name}_undefined"] = float(len(values) - len(known))
    rated = {name: scores[name].is_not_null() for name in scores.columns if name.startswith(HUMAN)}
    shares = {f"{name}_rated_share": float(known.sum()) / len(known) for name, known in rated.items()}
    return metrics | shares | {"unscored": float(scores["quality"].null_count())}


def _by_prompt(spec: CreativeScoreSpec, scores: pl.DataFrame) -> dict[str, pl.Series]:
    """Pass@k over the scored candidates, quality, well-formedness, and distinct intents, of each prompt."""
    grouped = scores.group_by("prompt_id", maintain_order=True).agg(
        n=pl.col("passed").count(),
        passed=pl.col("passed").sum(),
        quality=pl.col("quality").mean(),
        well_formed=pl.col("well_formed").mean(),
        intents=pl.col("intent").fill_null(""),
    )
    pass_PM = pass_at_k(grouped["n"].to_numpy(), grouped["passed"].to_numpy(), spec.scoring.ks)
    intents_PK = grouped["intents"].to_list()
    known_PK = [[intent != "" for intent in row] for row in intents_PK]
    found = {f"pass_at_{k}": pl.Series(pass_PM[:, i]) for i, k in enumerate(spec.scoring.ks)}
    for k in spec.scoring.ks:
        found[f"distinct_intents_at_{k}"] = pl.Series(np.asarray(distinct_at_k(intents_PK, k, known_PK)))
    return found | {"quality": grouped["quality"], "well_formed": grouped["well_formed"]}
