"""From what a model wrote to the program that is executed, by one rule; the raw text is kept beside it.

The rule, in order:
1. Line ends become line feeds. Thinking is dropped, and everything from a chat template's end mark or a line `[DONE]`.
2. A Python fence that defines the entry point is the program; of several the last, which is where corrections stand.
   What all its lines are indented by does not count.
   Without one, the text up to the first fence is, where it defines the entry point (the prompt had opened the fence).
3. A program starts at the first line of code from which the definition is reached and ends where parsing does, or
   where, after the definition, a demonstration begins (`print`, `assert`, `if __name__`). Prose around it goes. The
   prompt's imports and helpers are put before it, unless it repeats them.
4. Where nothing defines the entry point and the prompt is code, the text is a body: the text itself where its first
   line is indented, else the first Python fence, else the text. It ends at the first line at the margin. A first line,
   or a whole body, that has lost its indentation gets it back. A last statement that was cut is dropped.
5. Where nothing defines it and the prompt is a sentence, the first Python fence, or the text, is taken as it parses:
   the tests will not find the function.
What cannot be read has a `fault`, counts as a syntax error and is not executed. A text above `MAX_CHARACTERS` is such.

Limits; by most of them a right answer counts as wrong:
- One fence is one program: imports and helpers that stand in another one are missing.
- The last fence that defines the entry point counts, even where it shows what not to do.
- A definition inside a class or an `if` is not found; where the prompt is code, it is taken for a body.
- Functions at the margin after a body are dropped, with the helpers among them.
- Transcripts (`>>>`), fences inside quotes and lists, and tabs after a prompt's spaces are not read.
- What remains of an answer that was cut is executed, and may pass.
- A long search ends: after `RAW_LIMIT` characters, the last `FENCES` fences, and the numbers of starts, ends and cuts
  that completion_code and completion_body name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from polymlops.data.suite_problems import Problem
from polymlops.data.suite_syntax import MAX_CHARACTERS, parse_source
from polymlops.evaluation.completion_body import body_after
from polymlops.evaluation.completion_code import (
    Region,
    any_program,
    joined,
    mentions_definition,
    preamble,
    whole_program,
)
from polymlops.evaluation.completion_text import (
    PYTHON,
    at_margin,
    before_fence,
    fenced_blocks,
    plain_lines,
    without_end_marks,
    without_thinking,
)

Form = Literal["program", "body", "unread"]
RAW_LIMIT = 1_000_000  # characters of a text that is looked at
FENCES = 20  # the last ones, of a text that has more


@dataclass(frozen=True, slots=True)
class Extraction:
    """What was read from a completion.

    source  the whole program to execute; where nothing could be read, prefix and text as they stand
    raw     the completion, untouched
    form    whether it was a whole program, or a body that continues the prompt
    fault   why nothing could be read; empty where something was
    """

    source: str
    raw: str
    form: Form
    fault: str = ""


def extract(problem: Problem, raw: str) -> Extraction:
    """Read a completion by the rule above; whatever the text, nothing is raised."""
    if len(raw) > RAW_LIMIT:
        return Extraction("", raw, "unread", f"{len(raw)} characters: more than {RAW_LIMIT} are not looked at")
    text = without_end_marks(without_thinking(plain_lines(raw)))
    fences = [block.text for block in fenced_blocks(text) if block.language in PYTHON][-FENCES:]
    for piece in map(at_margin, (*reversed(fences), before_fence(text))):
        if mentions_definition(piece, problem.entry_point):
            program = whole_program(piece, problem.entry_point)
            if program:
                head = preamble(problem.prefix, program, problem.entry_point)
                return Extraction(joined(head, program), raw, "program")
    for piece in _pieces(text, fences):
        found = _body(problem, piece) if problem.prefix else any_program(piece)
        if found:
            return Extraction(found.text, raw, "body" if problem.prefix else "program")
    return _unread(problem, text, raw)


def _pieces(text: str, fences: list[str]) -> Iterator[str]:
    """Where a body may stand, in order."""
    first = next((line for line in text.split("\n") if line.strip()), "")
    before = before_fence(text)
    if first[:1].isspace():
        yield before
    yield from fences
    yield before


def _body(problem: Problem, text: str) -> Region | None:
    body = body_after(problem.prefix, text, problem.entry_point)
    if body is None:
        return None
    prefix = problem.prefix.split("\n")
    lines = (*prefix[:-1], prefix[-1] + body.lines[0], *body.lines[1:])
    return Region(lines, body.tree)


def _unread(problem: Problem, text: str, raw: str) -> Extraction:
    source = problem.prefix + text
    fault = parse_source(source).fault or "no statement that could be executed"
    return Extraction(source if len(source) <= MAX_CHARACTERS else "", raw, "unread", fault)
