"""Python source as a tree, or the reason why it is none: for text that anyone, or any model, may have written."""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass

MAX_CHARACTERS = 100_000  # longer sources are not parsed: the parser takes about 1 kB a character


@dataclass(frozen=True, slots=True)
class Parsed:
    """A tree; or None with the reason, and the line from 1 at which the parser stopped (0 where it does not say)."""

    tree: ast.Module | None
    fault: str = ""
    line: int = 0


def parse_source(source: str) -> Parsed:
    """Parse a program; whatever the text, nothing is raised and no warning shown."""
    if len(source) > MAX_CHARACTERS:
        return Parsed(None, f"{len(source)} characters: more than {MAX_CHARACTERS} are not read as a program")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape in a model's string is no concern of ours
            return Parsed(ast.parse(source))
    except SyntaxError as error:
        return Parsed(None, f"SyntaxError: {error.msg}", error.lineno or 0)
    except (ValueError, RecursionError, MemoryError) as error:  # null bytes, surrogates, absurd nesting
        return Parsed(None, f"{type(error).__name__}: {error}")


def defined_names(tree: ast.Module) -> list[str]:
    """Names of the functions and classes at the top level, and of what is assigned there, in order."""
    names: list[str] = []
    for statement in tree.body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.append(name)
            case ast.Assign(targets=targets):
                names += [target.id for target in targets if isinstance(target, ast.Name)]
            case _:
                pass
    return names


def called_names(tree: ast.AST) -> list[str]:
    """Names that are called anywhere, outermost calls first, each once."""
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return list(dict.fromkeys(function.id for function in calls if isinstance(function, ast.Name)))
