"""Between texts and tokens: chats in, candidates out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from polymlops.generation.decoding import Candidate

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def encode_chat(tokenizer: PreTrainedTokenizerFast, messages: Sequence[dict[str, str]]) -> list[int]:
    """Tokens of a chat, up to the point where the assistant begins to write."""
    text = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def decode_candidate(tokenizer: PreTrainedTokenizerFast, candidate: Candidate) -> str:
    """The text of a candidate without its end token, white space at the ends removed."""
    tokens = candidate.tokens[:-1] if candidate.finished else candidate.tokens
    return decode(tokenizer, tokens).strip()


def decode(tokenizer: PreTrainedTokenizerFast, tokens: Sequence[int]) -> str:
    """The text of tokens, exactly."""
    text = tokenizer.decode(list(tokens))
    assert isinstance(text, str)  # transformers types it for batches too
    return text
