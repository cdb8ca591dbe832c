"""The stage that makes a sample set of creative writing: n texts for every prompt of a prepared set from one arm."""

from __future__ import annotations

from pathlib import Path

from polymlops.config.slices import SampleSpec
from polymlops.data.creative_prompts import load_prompts
from polymlops.generation.sampling import Questions, encode_prompt, sample_questions
from polymlops.records import Job


def sample_texts(spec: SampleSpec, base: Path, adapter: Path | None, prompts: Path, job: Job) -> dict[str, float]:
    """Sample every prompt that `prepare_prompts` wrote to `prompts`; writes, returns and raises as `sample_questions`.

    Raises: ArtifactError where the prompts are missing.
    """
    return sample_questions(spec, Questions(load_prompts(prompts), encode_prompt), base, adapter, job)
