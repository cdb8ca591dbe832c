"""Does a base model speak the embedded world? Two shares, measured by sampling."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from polymlops.data.prompts import chat, few_shot_examples, prompts_of
from polymlops.data.world_judge import program_passes
from polymlops.data.world_programs import programs
from polymlops.data.world_replies import is_well_formed
from polymlops.generation.decoding import Decoding, prompt_key, sample_candidates
from polymlops.generation.encoding import decode, decode_candidate, encode_chat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

REPLY_DECODING = Decoding(temperature=0.7, top_p=0.9, top_k=0, max_new_tokens=40)
PROGRAM_DECODING = Decoding(temperature=0.7, top_p=0.9, top_k=0, max_new_tokens=80)
PROMPTS, SAMPLES = 40, 5


def well_formed_share(model: Any, tokenizer: PreTrainedTokenizerFast, dataset: Path, seed: int) -> float:
    """Share of few-shot replies to validation posts that the world's grammar parses."""
    examples = few_shot_examples(dataset, 3, seed)
    prompts = prompts_of(dataset, "validation", PROMPTS, seed)
    encoded = [encode_chat(tokenizer, chat(prompt.text, examples)) for prompt in prompts]
    keys = [prompt_key(seed, prompt.prompt_id) for prompt in prompts]
    groups = sample_candidates(model, encoded, keys, SAMPLES, REPLY_DECODING)
    return float(np.mean([is_well_formed(decode_candidate(tokenizer, item)) for group in groups for item in group]))


def program_pass_at_1(model: Any, tokenizer: PreTrainedTokenizerFast, seed: int) -> float:
    """Mean share of passing solutions over the world's test problems."""
    problems = programs(seed, "test")
    encoded = [encode_chat(tokenizer, chat(problem.prompt)) for problem in problems]
    keys = [prompt_key(seed, problem.task_id) for problem in problems]
    groups = sample_candidates(model, encoded, keys, SAMPLES, PROGRAM_DECODING)
    return float(
        np.mean(
            [
                program_passes(problem, decode(tokenizer, item.tokens[:-1] if item.finished else item.tokens))
                for problem, group in zip(problems, groups, strict=True)
                for item in group
            ]
        )
    )
