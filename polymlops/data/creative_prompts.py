"""Prompts of creative writing: read, checked, chosen by seed, and kept as the artifact that every arm answers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from polymlops.config.creative import (
    CreativePromptsSpec,
    FilePromptsConfig,
    NoveltyBenchPromptsConfig,
    PromptSourceConfig,
    WorldPromptsConfig,
    WritingPromptsConfig,
)
from polymlops.data.cleaning import comparable
from polymlops.data.creative_prompt_hub import folder_prompts, hub_prompts
from polymlops.data.prompts import Prompt
from polymlops.data.suite_files import SuiteRow, read_suite_rows
from polymlops.data.world_stories import ANIMALS, THINGS, story_prompts
from polymlops.errors import ArtifactError, InputError
from polymlops.records import Job

FILE = "prompts.parquet"
# Reddit's own marks, "[ WP ] ...": they say what kind of post it was, not what to write about.
TAG = re.compile(r"^\s*\[\s?[A-Z]{2}\s?\]\s*")


@dataclass(frozen=True, slots=True)
class PromptSet:
    """Prompts in the order of their choice. `repeated` counts those left out because another has the same text."""

    prompts: tuple[Prompt, ...]
    repeated: int


@dataclass(frozen=True, slots=True)
class _Read:
    """A prompt as it was read, and how a message calls its place."""

    place: str
    prompt: Prompt


def prepare_prompts(spec: CreativePromptsSpec, job: Job) -> dict[str, float]:
    """Write `prompts.parquet` (prompt_id, prompt), in the order of the choice; returns how many, and how many repeat.

    Raises: InputError as in `read_prompts`.
    """
    found = read_prompts(spec)
    rows = [(prompt.prompt_id, prompt.text) for prompt in found.prompts]
    pl.DataFrame(rows, {"prompt_id": pl.String, "prompt": pl.String}, orient="row").write_parquet(job.output / FILE)
    return {"creative/prompts": float(len(rows)), "creative/repeated_prompts": float(found.repeated)}


def load_prompts(folder: Path) -> list[Prompt]:
    """The prompts that `prepare_prompts` wrote, in order. Raises: ArtifactError where the file is missing."""
    if not (folder / FILE).is_file():
        raise ArtifactError(f"{folder} lacks {FILE}: prepare the prompts again")
    return [Prompt(*row) for row in pl.read_parquet(folder / FILE).select("prompt_id", "prompt").iter_rows()]


def read_prompts(spec: CreativePromptsSpec) -> PromptSet:
    """Read a source and choose at most `spec.prompts` of it, by seed, whatever the order in the file.

    Two prompts with one text are one: as two they would count as independent evidence. The first id stays.

    Raises:
        InputError: a field is missing or empty, an id comes twice, text is not UTF-8, or there is no prompt; names
            file, line, key and remedy.
        ArtifactError: the Hub could not be reached; trying again may help.
    """
    read = list(_read(spec.source))
    _refuse_duplicates(read)
    first_of = {comparable(item.prompt.text): item.prompt for item in reversed(read)}
    prompts = sorted(first_of.values(), key=lambda prompt: prompt.prompt_id)
    chosen = np.random.default_rng(spec.seed).permutation(len(prompts))[: spec.prompts]
    return PromptSet(tuple(prompts[i] for i in chosen), len(read) - len(prompts))


def _read(source: PromptSourceConfig) -> Iterable[_Read]:
    if isinstance(source, WorldPromptsConfig):
        texts = story_prompts(0, len(ANIMALS) * len(THINGS))  # one round: every pair once
        return [_Read(f"story {i}", Prompt(f"story-{i:02d}", text)) for i, text in enumerate(sorted(texts))]
    if isinstance(source, NoveltyBenchPromptsConfig):
        return _noveltybench(source)
    if isinstance(source, FilePromptsConfig):
        return [
            _Read(row.place, Prompt(row.text("prompt_id"), row.text("prompt"))) for row in read_suite_rows(source.path)
        ]
    return _writing_prompts(source)


def _noveltybench(source: NoveltyBenchPromptsConfig) -> list[_Read]:
    rows = read_suite_rows(source.path)
    known = {row.text("category", needed=bool(source.categories)) for row in rows}
    unknown = sorted(set(source.categories) - known)
    if unknown:
        raise InputError(f"{source.path}: no category {unknown[0]!r}: it has {', '.join(sorted(known))}")
    kept = [row for row in rows if not source.categories or row.text("category") in source.categories]
    return [_Read(row.place, Prompt(row.text("id"), row.text("prompt"))) for row in kept]


def _writing_prompts(source: WritingPromptsConfig) -> list[_Read]:
    """Its rows are stories: a prompt that got several comes several times, under one id made from its text."""
    if source.hub is not None:
        rows: Sequence[SuiteRow] = hub_prompts(source)
    elif source.path is not None and source.path.is_dir():
        rows = folder_prompts(source)
    else:
        assert source.path is not None  # the config wants either
        rows = read_suite_rows(source.path)
    found: dict[str, _Read] = {}
    for row in rows:
        text = TAG.sub("", row.text(source.field)).strip()
        if not text:
            raise InputError(f"{row.place}: {source.field!r} is nothing but a tag: write the prompt, or drop the row")
        name = f"wp-{hashlib.sha256(comparable(text).encode()).hexdigest()[:16]}"
        found.setdefault(name, _Read(row.place, Prompt(name, text)))
    return list(found.values())


def _refuse_duplicates(read: Sequence[_Read]) -> None:
    """Raise InputError where an id comes twice, or there is no prompt at all."""
    if not read:
        raise InputError("the source has no prompt: give another file, split or category")
    places: dict[str, str] = {}
    for item in read:
        name = item.prompt.prompt_id
        if name in places:
            raise InputError(
                f"{item.place}: id {name!r} comes twice, first at {places[name]}: each prompt needs its own"
            )
        places[name] = item.place
