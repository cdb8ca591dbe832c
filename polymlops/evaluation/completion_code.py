"""A whole program cut out of text by what parses, and the prompt's own statements put before it."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

from polymlops.data.suite_syntax import defined_names, parse_source

ATTEMPTS = 30  # cuts at a fault before a text is given up
STARTS = 10  # lines that a program is looked for at
INDENT = "    "
CODE_START = re.compile(
    r"(async\s+def|def|class)\s+\w+|@\w|import\s+\w[\w.]*(\s+as\s+\w+)?(\s*,.*)?$|from\s+[\w.]+\s+import\b"
    r"|(if|for|while|with)\b.*:\s*(#.*)?$|try:\s*(#.*)?$"
    r"|[A-Za-z_][\w.\[\], ]*\s*(:\s*\w[\w\[\], .]*)?[-+*/%&|^@]{0,2}=[^=]"
)
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
LASTING = (*DEFINITIONS, ast.Import, ast.ImportFrom, ast.Assign, ast.AugAssign, ast.AnnAssign)
ACTING = (ast.Call, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)


@dataclass(frozen=True, slots=True)
class Region:
    """Lines that parse, and their tree."""

    lines: tuple[str, ...]
    tree: ast.Module

    @property
    def text(self) -> str:
        """The lines as source."""
        return "".join(f"{line}\n" for line in self.lines)


def mentions_definition(text: str, name: str) -> bool:
    """Whether a line defines the name at the top level, parsed or not."""
    return (
        re.search(rf"^(?:(?:async\s+)?def|class)\s+{re.escape(name)}\b|^{re.escape(name)}\s*=[^=]", text, re.M)
        is not None
    )


def whole_program(text: str, name: str) -> Region | None:
    """The longest run of lines that is a program with this name, without prose around it or a demonstration after it.

    It starts at the first line that looks like code and from which the definition can be reached. It ends where
    parsing does, and after the definition at the first top-level statement that is no definition, import or
    assignment: printing, asserting and `if __name__ == ...` are demonstrations.
    """
    lines = text.split("\n")
    starts = (number for number, line in enumerate(lines) if CODE_START.match(line.rstrip()))
    for _, start in zip(range(STARTS), starts, strict=False):
        region = parsed_head(lines[start:])
        if region and name in defined_names(region.tree):
            return _without_demonstration(region, name)
    return None


def any_program(text: str) -> Region | None:
    """As `whole_program`, for a text that does not define what it should: all that parses from the first code line."""
    lines = text.split("\n")
    starts = (number for number, line in enumerate(lines) if CODE_START.match(line.rstrip()))
    for _, start in zip(range(STARTS), starts, strict=False):
        region = parsed_head(lines[start:])
        if region and region.tree.body:
            return region
    return None


def parsed_head(lines: Sequence[str]) -> Region | None:
    """The longest head of lines that parses, cutting at each fault in turn; None after too many faults."""
    kept = list(lines)
    for _ in range(ATTEMPTS):
        parsed = parse_source("\n".join(kept))
        if parsed.tree is not None:
            return Region(tuple(kept), parsed.tree)
        end = parsed.line - 1 if parsed.line else len(kept) - 1
        kept = kept[: max(0, min(end, len(kept) - 1))]
    return None


def preamble(prefix: str, program: Region, name: str) -> str:
    """The statements of a prompt before the function it asks for, without those that the program repeats."""
    tree = parse_source(f"{prefix}\n{INDENT}pass\n").tree
    if tree is None or name not in defined_names(tree):
        return ""
    lines = prefix.split("\n")
    own = {ast.dump(statement) for statement in program.tree.body}
    before = tree.body[: defined_names_at(tree, name)]
    kept = [lines[first_line(s) - 1 : s.end_lineno] for s in before if ast.dump(s) not in own]
    return "".join("\n".join(part) + "\n" for part in kept)


def joined(head: str, program: Region) -> str:
    """Head and program as one source; imports from `__future__` stay first."""
    future = [
        s.end_lineno or 0 for s in program.tree.body if isinstance(s, ast.ImportFrom) and s.module == "__future__"
    ]
    cut = max(future, default=0)
    parts = ("".join(f"{line}\n" for line in program.lines[:cut]), head)
    return "".join(parts) + "".join(f"{line}\n" for line in program.lines[cut:])


def defined_names_at(tree: ast.Module, name: str) -> int:
    """Index of the last top-level statement that defines the name."""
    alone = [defined_names(ast.Module([statement], [])) for statement in tree.body]
    return max(index for index, names in enumerate(alone) if name in names)


def first_line(statement: ast.stmt) -> int:
    """Where a statement begins, decorators included; from 1."""
    decorators = statement.decorator_list if isinstance(statement, DEFINITIONS) else []
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)])


def _without_demonstration(region: Region, name: str) -> Region:
    body = region.tree.body
    defined = defined_names_at(region.tree, name)
    end = next((i for i in range(defined + 1, len(body)) if not _lasts(body[i])), len(body))
    start = next(i for i, statement in enumerate(body) if not is_idle(statement))
    lines = region.lines[first_line(body[start]) - 1 : body[end - 1].end_lineno]
    return Region(lines, parse_source("\n".join(lines)).tree or region.tree)


def _lasts(statement: ast.stmt) -> bool:
    return isinstance(statement, LASTING) and not is_idle(statement)


def is_idle(statement: ast.stmt) -> bool:
    """Whether a statement does nothing: words of prose that happen to parse, `Sure` or `Note: this`."""
    match statement:
        case ast.Expr(value=value):
            return not is_text(statement) and not any(isinstance(node, ACTING) for node in ast.walk(value))
        case ast.AnnAssign(value=None):
            return True
    return False


def is_text(statement: ast.stmt) -> bool:
    """Whether a statement is a string, such as a docstring."""
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
    return False
