"""The body of a function cut out of text by what parses together with the prompt that it continues."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from polymlops.data.suite_syntax import defined_names, parse_source
from polymlops.evaluation.completion_code import CODE_START, Region, defined_names_at, is_idle, is_text, parsed_head

STARTS = 5  # lines that a body is looked for at
ENDS = 10  # lines at the margin that may be the first outside it
INDENT = "    "
BODY_START = re.compile(rf"{CODE_START.pattern}|(return|raise|yield|assert)\b|(if|for|while|with)\b.*:|\w[\w.]*\(.*\)$")


def body_after(prefix: str, text: str, name: str) -> Region | None:
    """The body that continues `prefix`, up to the first line outside it, with the indentation that its lines have lost.

    It starts at the first line from which a body can be read, what precedes being prose: as the text stands, where that
    line is indented; else with that line indented, or with all lines, whichever keeps more. It ends at the first line
    at the margin at which it parses, comments apart. A last statement that was cut is dropped. None where there is no
    statement.
    """
    for readings in _readings(prefix, text):
        bodies = [body for lines in readings if (body := _body(prefix, lines, name))]
        if bodies:
            return max(bodies, key=lambda body: sum(bool(line.strip()) for line in body.lines))
    return None


def _readings(prefix: str, text: str) -> Iterator[list[list[str]]]:
    """For each line at which the body may start, what it and those after it may stand for."""
    lines = text.split("\n")
    if prefix and not prefix.endswith("\n"):  # the text goes on in the prompt's last line
        yield [lines]
        return
    first = next((i for i, line in enumerate(lines) if line.strip() and line[0] != "#"), len(lines))
    starts = (i for i in range(first, len(lines)) if i == first or _may_start(lines[i], lines[i - 1]))
    for _, start in zip(range(STARTS), starts, strict=False):
        rest = lines[start:]
        if rest[0][:1].isspace():
            yield [rest]
        else:
            indented = [INDENT + line if line.strip() else line for line in _reached(rest)]
            yield [[INDENT + rest[0], *rest[1:]], *([indented] if indented else [])]


def _may_start(line: str, before: str) -> bool:
    """Whether a body may start here: at code that stands at the margin, or where the indentation sets in."""
    if line[:1].isspace():
        return bool(line.strip()) and not (before.strip() and before[0].isspace())
    return BODY_START.match(line.rstrip()) is not None


def _reached(lines: Sequence[str]) -> Sequence[str]:
    """Lines at the margin as a body: up to its first `return` or `raise`, and without words of prose at the end.

    What follows a `return` at the margin is a demonstration; in a body it would never be reached.
    """
    head = parsed_head(lines)
    ends = [0]
    for statement in head.tree.body if head else []:
        if not is_idle(statement):
            ends.append(statement.end_lineno or 0)
        if isinstance(statement, ast.Raise | ast.Return):
            break
    return lines[: ends[-1]]


def _body(prefix: str, lines: Sequence[str], name: str) -> Region | None:
    margin = (i for i, line in enumerate(lines) if i and line.strip() and not line[0].isspace() and line[0] != "#")
    ends = [*(end for _, end in zip(range(ENDS), margin, strict=False)), len(lines)]
    for end in ends:
        tree = parse_source(prefix + "\n".join(lines[:end])).tree
        if tree is not None:
            return Region(tuple(lines[:end]), tree) if _has_body(tree, name, prefix) else None
    # The prompt's lines are parsed with the body's, so that a cut never passes into the prompt.
    whole = [*prefix.split("\n")[:-1], *lines[: ends[0]]]
    head, count = parsed_head(whole), prefix.count("\n")
    if head is None or not _has_body(head.tree, name, prefix):
        return None
    return Region(head.lines[count:], head.tree)


def _has_body(tree: ast.Module, name: str, prefix: str) -> bool:
    """Whether the function has a statement that the prompt had not, and it is no string and no prose."""
    if name not in defined_names(tree):
        return False
    function = tree.body[defined_names_at(tree, name)]
    if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
        return isinstance(function, ast.ClassDef)
    given = prefix.count("\n")
    rest = [s for s in function.body if (s.end_lineno or 0) > given and not is_text(s)]
    return bool(rest) and not is_idle(rest[0])
