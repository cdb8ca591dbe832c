"""A chat completion as it arrives, read into a reply; whatever is wrong with it is said, never guessed around."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from polymlops.evaluation.judge_parsing import excerpt


@dataclass(frozen=True, slots=True)
class Reply:
    """What a judge said: text, or None and why. `declined`: it will not judge this item, however often it is asked.

    Tokens are None where they were not told; `dollars` is NaN where they or their price are not known.
    """

    text: str | None
    fault: str = ""
    declined: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None
    dollars: float = math.nan


def read_reply(body: str) -> Reply:
    """Read the body of a chat completion."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        return Reply(None, f"the response is not JSON ({error}): {excerpt(body)}")
    if not isinstance(found, dict):
        return Reply(None, f"the response is no chat completion: {excerpt(body)}")
    usage = found.get("usage")
    tokens = [_tokens(usage, name) for name in ("prompt_tokens", "completion_tokens")]
    text, fault, declined = _said(found, body)
    return Reply(text, fault, declined, tokens[0], tokens[1])


def _tokens(usage: Any, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if type(value) is int and 0 <= value < 2**40 else None


def _said(found: Mapping[str, Any], body: str) -> tuple[str | None, str, bool]:
    """Text, fault, and whether the model declined."""
    try:
        choice = found["choices"][0]
        message, ending = choice["message"], choice.get("finish_reason")
        content, refusal = message.get("content"), message.get("refusal")
    except (LookupError, TypeError, AttributeError):
        return None, f"the response is no chat completion: {excerpt(body)}", False
    if ending == "content_filter" or (isinstance(refusal, str) and refusal):
        return None, f"the model declined: {excerpt(str(refusal or ending))}", True
    if not isinstance(content, str):
        return None, f"the response has no text: {excerpt(body)}", False
    if ending == "length":
        return None, f"the answer was cut at max_output_tokens: {excerpt(content)}", False
    return content, "", False
