"""What surrounds code in a model's answer: thinking, fences and end marks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from polymlops.data.suite_prompts import BEGIN, DONE

END_MARKS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>")
THINK, END_THINK = "<think>", "</think>"
PYTHON = frozenset(("", "python", "python3", "py", "py3", "pycon"))
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*([^`\n]*)$")


@dataclass(frozen=True, slots=True)
class Block:
    """The inside of a fence, its language in lower case, and whether the fence was closed."""

    language: str
    text: str
    closed: bool


def plain_lines(text: str) -> str:
    """The text with line feeds as its only line ends."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def without_thinking(text: str) -> str:
    """What follows the thinking: after the first `</think>`; nothing where a `<think>` that opens the text stays open.

    Where the chat template had opened it, only a closing mark at the end or the start of a line counts, so that a mark
    inside code is left alone.
    """
    if text.lstrip().startswith(THINK):
        return text.partition(END_THINK)[2].removeprefix("\n")
    close = re.search(rf"{END_THINK}[ \t]*$|^[ \t]*{END_THINK}", text, re.MULTILINE)
    return text[close.end() :].removeprefix("\n") if close else text


def without_end_marks(text: str) -> str:
    """The text up to the first end mark of a chat template or line [DONE]; a first line [BEGIN] is dropped."""
    for mark in END_MARKS:
        text = text.partition(mark)[0]
    lines = text.split("\n")
    kept = next((number for number, line in enumerate(lines) if line.strip() == DONE), len(lines))
    first = next((number for number, line in enumerate(lines[:kept]) if line.strip()), 0)
    start = first + 1 if lines[first].strip() == BEGIN else 0
    return "\n".join(lines[start:kept])


def fenced_blocks(text: str) -> list[Block]:
    """Fenced blocks in order, by CommonMark's rule: a fence ends at a bare one of its own kind, at least as long.

    An open one reaches to the end: the answer was cut.
    Source: CommonMark 0.31.2, section 4.5; fences inside quotes and lists are not looked for.
    """
    blocks: list[Block] = []
    fence, language, inside = "", "", list[str]()
    for line in text.split("\n"):
        found = FENCE.match(line)
        if not fence and found:
            fence, language, inside = found[1], found[2].strip().lower().partition(" ")[0], []
        elif fence and found and not found[2].strip() and found[1].startswith(fence):
            blocks.append(Block(language, "\n".join(inside), True))
            fence = ""
        elif fence:
            inside.append(line)
    if fence:
        blocks.append(Block(language, "\n".join(inside), False))
    return blocks


def before_fence(text: str) -> str:
    """The text up to its first fence: the code itself, where the prompt had opened the fence already."""
    lines = text.split("\n")
    first = next((number for number, line in enumerate(lines) if FENCE.match(line)), len(lines))
    return "\n".join(lines[:first])


def at_margin(text: str) -> str:
    """The text without what all its lines are indented by, as in a list; blank lines stay as they are."""
    filled = [line for line in text.split("\n") if line.strip()]
    margin = min((line[: len(line) - len(line.lstrip())] for line in filled), key=len, default="")
    if not margin or not all(line.startswith(margin) for line in filled):
        return text
    return "\n".join(line.removeprefix(margin) for line in text.split("\n"))
