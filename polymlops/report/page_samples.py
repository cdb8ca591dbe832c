"""Candidates of every arm beside each other, prompt by prompt, from stored samples and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from polymlops.report.page_files import Source
from polymlops.report.page_records import PromptSides, Sample, Section, Side

PROMPTS, EACH = 6, 5
# Characters that would change how the text around them reads, or that no browser shows.
CONTROLS = frozenset(
    {*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0), *range(0x200B, 0x2010), *range(0x2028, 0x202F)}
    | {*range(0x2060, 0x2070), 0xFEFF, *range(0xD800, 0xE000)}
)


def sample_sides(
    samples: Mapping[str, Source], scores: Mapping[str, Source], prompts: int = PROMPTS, each: int = EACH
) -> tuple[Section, tuple[PromptSides, ...]]:
    """The first candidates of the first prompts that all arms answer, one seed an arm; and what is not shown.

    `samples` and `scores` are by label "arm/seed".
    """
    chosen = first_seeds(samples)
    if not chosen:
        return Section(missing=("samples: no sample set was given",)), ()
    frames = {label: _read(samples[label], scores.get(label)) for label in chosen}
    ids = [frame["prompt_id"].unique(maintain_order=True).to_list() for frame in frames.values()]
    common = [name for name in ids[0] if all(name in others for others in ids)]
    if not common:
        return Section(missing=("samples: no prompt is answered by every arm",)), ()
    shown = tuple(_sides(name, frames, samples, each) for name in common[:prompts])
    notes = [f"{len(shown)} of {len(common)} prompts, {each} candidates at most; all others are in the sample sets"]
    notes += [f"verdicts of {label}: it has no scores" for label in chosen if label not in scores]
    left = sorted(set(samples) - set(chosen))
    if left:
        notes.append(f"other seeds are not shown: {', '.join(left)}")
    return Section(missing=tuple(notes)), shown


def first_seeds(labels: Mapping[str, Any]) -> list[str]:
    """One label an arm, in the given order."""
    return list({label.rpartition("/")[0]: label for label in reversed(list(labels))}.values())[::-1]


def visible(text: str) -> str:
    """Text whose control and direction-changing characters are written as their code points, so that they only show."""
    return "".join(f"\\u{ord(char):04x}" if ord(char) in CONTROLS else char for char in text)


def _read(samples: Source, scores: Source | None) -> pl.DataFrame:
    frame = pl.read_parquet(samples.folder / "samples.parquet").sort("prompt_id", "sample_id")
    if scores is None:
        return frame.with_columns(pl.lit(None).alias("passed"), pl.lit(None, pl.Float64).alias("quality"))
    found = pl.read_parquet(scores.folder / "scores.parquet")
    if "quality" not in found.columns:
        found = found.with_columns(pl.lit(None, pl.Float64).alias("quality"))
    key = ["prompt_id", "sample_id"]
    return frame.join(found.select(*key, "passed", "quality"), on=key, how="left").sort(key)


def _sides(prompt_id: str, frames: Mapping[str, pl.DataFrame], samples: Mapping[str, Source], each: int) -> PromptSides:
    rows = {label: frame.filter(pl.col("prompt_id") == prompt_id).head(each) for label, frame in frames.items()}
    sides = tuple(Side(label, samples[label].run_id, _samples(found)) for label, found in rows.items())
    prompt = next(iter(rows.values()))["prompt"][0]
    return PromptSides(str(prompt_id), visible(prompt or ""), sides)


def _samples(rows: pl.DataFrame) -> tuple[Sample, ...]:
    parts: Sequence[dict] = list(rows.iter_rows(named=True))
    return tuple(Sample(visible(row["text"] or ""), _verdict(row["passed"], row["quality"])) for row in parts)


def _verdict(passed: bool | None, quality: float | None) -> str:
    outcome = {True: "passes", False: "does not pass", None: "not judged"}[passed]
    return outcome if quality is None else f"{outcome}, quality {quality:.2f}"
