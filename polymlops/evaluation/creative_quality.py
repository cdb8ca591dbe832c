"""How good each text is: by the embedded world's truth for prompts of its own, else by the judge, or null."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from polymlops.config.judge import HIGHEST, LOWEST, JudgeConfig
from polymlops.data.world_stories import parse_story, parse_story_prompt, story_quality
from polymlops.errors import StageError
from polymlops.evaluation.judge import Item, JudgeReport, Totals, judge_items
from polymlops.evaluation.judge_tables import judge_metrics, verdict_table

TRUTH_VERSION = "story-coherence-1"
JUDGE = "judge_"
QUALITIES = {"quality": pl.Float64, "intent": pl.String, "well_formed": pl.Boolean, "quality_version": pl.String}


@dataclass(frozen=True, slots=True)
class Judged:
    """`columns` has one row a candidate: judge_<criterion> (1 to 10, null where unscored) and judge_outcome."""

    columns: pl.DataFrame
    report: JudgeReport

    @property
    def verdicts(self) -> pl.DataFrame:
        """The judge's own table."""
        return verdict_table(self.report)

    @property
    def metrics(self) -> Mapping[str, float]:
        """Its means, shares and costs."""
        return judge_metrics(self.report)


def judge_texts(config: JudgeConfig, frame: pl.DataFrame, store: Path) -> Judged:
    """Ask the judge about every candidate of a sample set.

    What stays without a score for good (an answer that does not parse, a refusal) is null, never a number.

    Raises:
        StageError: a budget, or an endpoint that failed, left texts unasked; what was answered is kept.
        Exception: as in `judge_items`.
    """
    items = [
        Item(f"{prompt_id}/{sample_id}", prompt, text, prompt_id)
        for prompt_id, sample_id, prompt, text in frame.select("prompt_id", "sample_id", "prompt", "text").iter_rows()
    ]
    report = judge_items(config, items, store)
    _check_complete(report.judge, report.totals, store)
    names = {name: f"{JUDGE}{name}" for name in (*report.criteria, "outcome")}
    return Judged(verdict_table(report).select(*names).rename(names), report)


def _check_complete(judge: str, totals: Totals, store: Path) -> None:
    """Half a set of verdicts would be remembered as the whole: refuse it."""
    missing = totals.unasked + totals.failed
    if missing:
        why = totals.stopped or f"{totals.failed} calls failed on their way"
        raise StageError(
            f"judge {judge}: {missing} of {totals.questions} texts have no verdict ({why}); the others are kept in "
            f"{store.name}: raise the budget or wait for the endpoint, and run again to ask only what is missing"
        )


def is_worlds(prompts: Sequence[str]) -> bool:
    """Whether all prompts are story prompts of the embedded world, so that the truth about their texts is known."""
    return len(prompts) > 0 and all(parse_story_prompt(prompt) is not None for prompt in prompts)


def true_qualities(frame: pl.DataFrame) -> pl.DataFrame:
    """Quality, intent (obstacle and resolution, null where a text does not parse) and well-formedness by the world."""
    rows = []
    for prompt, text in frame.select("prompt", "text").iter_rows():
        story = parse_story(text)
        plot = None if story is None else f"{story.obstacle}; {story.resolution}"
        rows.append((story_quality(prompt, text), plot, story is not None, TRUTH_VERSION))
    return pl.DataFrame(rows, QUALITIES, orient="row")


def judged_qualities(frame: pl.DataFrame, judged: Judged | None) -> pl.DataFrame:
    """The judge's mean over its criteria, from 1..10 to [0, 1]; null without a verdict. Well formed is not empty.

    The intent is the class of texts that say the same (`class` of the frame): what a reader would call another answer.
    """
    if judged is None:
        quality, version = pl.Series("quality", [None] * len(frame), pl.Float64), "none"
    else:
        scores = judged.columns.select(f"{JUDGE}{name}" for name in judged.report.criteria)
        mean = scores.mean_horizontal(ignore_nulls=False)
        quality, version = ((mean - LOWEST) / (HIGHEST - LOWEST)).alias("quality"), f"judge {judged.report.judge}"
    return frame.select(
        quality,
        intent=pl.format("class {}", pl.col("class")),
        well_formed=pl.col("text").str.strip_chars() != "",
        quality_version=pl.lit(version),
    )
