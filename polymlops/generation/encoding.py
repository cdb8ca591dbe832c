"""Between texts and tokens: chats in, candidates out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from polymlops.generation.decoding import Candidate

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ANSWER = "."


def encode_chat(tokenizer: PreTrainedTokenizerFast, messages: Sequence[dict[str, str]]) -> list[int]:
    """Tokens of a chat, up to the point where the assistant begins to write."""
    text = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def encode_answer(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """Tokens of an answer as they follow the prompt in a chat of this tokenizer, without an end token.

    Some tokenizers put a blank before any text, and some formats between prompt and answer, so the answer is read
    behind the character that ends a prompt.
    """
    prompt, whole = _rendered(tokenizer)
    if not whole.startswith(prompt):
        return tokenizer(text, add_special_tokens=False)["input_ids"]
    last, lead = prompt[-1], whole[len(prompt) : whole.rfind(ANSWER)]
    before = tokenizer(last, add_special_tokens=False)["input_ids"]
    tokens = tokenizer(f"{last}{lead}{text}", add_special_tokens=False)["input_ids"]
    if tokens[: len(before)] != before:  # the answer's first characters are one token with what ends the prompt
        return tokenizer(text, add_special_tokens=False)["input_ids"]
    return tokens[len(before) :]


def _rendered(tokenizer: PreTrainedTokenizerFast) -> tuple[str, str]:
    """A chat up to its answer, and with it."""
    asked = [{"role": "user", "content": ANSWER}]
    prompt = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template([*asked, {"role": "assistant", "content": ANSWER}], tokenize=False)
    return str(prompt), str(whole)


def decode_candidate(tokenizer: PreTrainedTokenizerFast, candidate: Candidate) -> str:
    """The text of a candidate without its end token, white space at the ends removed."""
    tokens = candidate.tokens[:-1] if candidate.finished else candidate.tokens
    return decode(tokenizer, tokens).strip()


def decode(tokenizer: PreTrainedTokenizerFast, tokens: Sequence[int]) -> str:
    """The text of tokens, exactly."""
    text = tokenizer.decode(list(tokens))
    assert isinstance(text, str)  # transformers types it for batches too
    return text
