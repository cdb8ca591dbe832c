"""The stage that makes a sample set of creative writing: n texts for every prompt of a prepared set from one arm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from polymlops.config.slices import SampleSpec
from polymlops.data.creative_prompts import load_prompts
from polymlops.data.prompts import Prompt
from polymlops.generation.sampling import Questions, encode_prompt, sample_questions
from polymlops.records import Job

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def sample_texts(spec: SampleSpec, base: Path, adapter: Path | None, prompts: Path, job: Job) -> dict[str, float]:
    """Sample every prompt that `prepare_prompts` wrote to `prompts`; writes, returns and raises as `sample_questions`.

    Raises: ArtifactError where the prompts are missing.
    """
    return sample_questions(spec, Questions(load_prompts(prompts), encode_request), base, adapter, job)


def encode_request(tokenizer: PreTrainedTokenizerFast, prompt: Prompt) -> list[int]:
    """Tokens of a prompt as a user's message or, to a model that knows no chat, as a text to continue."""
    if tokenizer.chat_template:
        return encode_prompt(tokenizer, prompt)
    return tokenizer(prompt.text.rstrip())["input_ids"]
