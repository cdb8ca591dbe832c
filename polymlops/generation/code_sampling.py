"""The stage that makes a sample set of programs: n candidates for every problem of a suite from one arm.

An answer's text is kept as it was written, white space included: indentation is part of a program.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polymlops.config.code_slices import CodeSampleSpec
from polymlops.config.suites import SuiteConfig, WorldSuiteConfig
from polymlops.data.prompts import Prompt
from polymlops.data.suite_prompts import suite_prompts
from polymlops.data.suites import load_suite
from polymlops.errors import InputError
from polymlops.generation.decoding import Candidate
from polymlops.generation.encoding import decode
from polymlops.generation.sampling import Questions, encode_prompt, sample_questions
from polymlops.records import Job

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def sample_programs(spec: CodeSampleSpec, base: Path, adapter: Path | None, job: Job) -> dict[str, float]:
    """Sample every problem; writes, returns and raises as `sample_questions`.

    Raises:
        InputError: a suite that cannot be used, a chat format without a chat template, or `few_shot` without examples.
    """
    return sample_questions(spec, code_questions(spec), base, adapter, job)


def code_questions(spec: CodeSampleSpec) -> Questions:
    """The first `sampling.prompts` problems of the suite, asked in the suite's format."""
    suite = load_suite(spec.suite)
    asked = suite_prompts(suite, spec.suite.format)[: spec.sampling.prompts]
    prompts = [Prompt(item.task_id, item.text) for item in asked]
    examples = solved_examples(spec.suite, spec) if spec.arm == "few_shot" else ()
    encode = encode_text if spec.suite.format == "base" else partial(encode_message, examples=examples)
    return Questions(prompts, encode, written)


def solved_examples(suite: SuiteConfig, spec: CodeSampleSpec) -> tuple[tuple[str, str], ...]:
    """Pairs of (prompt, solution) from the world's training split, of different families.

    Raises: InputError for another suite: it has no solved problems outside its test.
    """
    if not isinstance(suite, WorldSuiteConfig):
        raise InputError(f"few_shot has no solved examples for suite {suite.kind!r}: leave the arm out")
    train = load_suite(suite.model_copy(update={"split": "train", "count": None}))
    first = {problem.family: problem for problem in reversed(train.problems)}
    families = sorted(first)
    chosen = np.random.default_rng(spec.sampling.seed).permutation(len(families))[: spec.sampling.few_shot]
    return tuple((first[families[i]].prompt, first[families[i]].canonical_solution.rstrip("\n")) for i in chosen)


def encode_message(
    tokenizer: PreTrainedTokenizerFast, prompt: Prompt, examples: Sequence[tuple[str, str]]
) -> list[int]:
    """Tokens of a problem as a user's message, after solved ones.

    Raises: InputError where the model knows no chat.
    """
    if not tokenizer.chat_template:
        raise InputError("the model's tokenizer has no chat template: ask with format base")
    return encode_prompt(tokenizer, prompt, examples)


def encode_text(tokenizer: PreTrainedTokenizerFast, prompt: Prompt) -> list[int]:
    """Tokens of a text that is continued as it stands."""
    return tokenizer(prompt.text)["input_ids"]


def written(tokenizer: PreTrainedTokenizerFast, candidate: Candidate) -> str:
    """The text of a candidate without its end token, nothing stripped."""
    return decode(tokenizer, candidate.tokens[:-1] if candidate.finished else candidate.tokens)
