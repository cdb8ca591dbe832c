"""The tests of a problem, compiled once, and the names that they expect from outside."""

from __future__ import annotations

import ast
import builtins
import functools
import sys
import warnings
from dataclasses import dataclass
from types import CodeType

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class BrokenTestsError(Exception):
    """The tests or the trusted code beside them are at fault, not the program."""


@dataclass(frozen=True, slots=True)
class Tests:
    """Compiled tests.

    `foreign` are names that they use and do not define, `modules` those that Python's library has; `has_check` where
    they define a function `check`, which gets the entry point (a program of MBPP's is itself called that).
    """

    code: CodeType
    foreign: tuple[str, ...]
    modules: tuple[str, ...]
    has_check: bool


@functools.lru_cache(maxsize=256)
def compiled(source: str) -> Tests:
    """Compile tests. Raises: BrokenTestsError where they are not Python."""
    tree = parsed(source)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    unknown = sorted(used - defined(tree) - set(dir(builtins)))
    modules = tuple(name for name in unknown if name in sys.stdlib_module_names)
    foreign = tuple(name for name in unknown if name not in modules)
    has_check = any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in tree.body)
    return Tests(compile(tree, "<tests>", "exec", dont_inherit=True), foreign, modules, has_check)


@functools.lru_cache(maxsize=256)
def compiled_helpers(source: str) -> CodeType:
    """Compile the trusted code that tests lean on. Raises: BrokenTestsError where it is not Python."""
    return compile(parsed(source), "<helpers>", "exec", dont_inherit=True)


def parsed(source: str) -> ast.Module:
    """The tree of a source. Raises: BrokenTestsError where it is not Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise BrokenTestsError(f"the tests are not Python: {error}") from error


def defined(tree: ast.Module) -> set[str]:
    """Every name that a module binds anywhere: more than the names of its own level, which does no harm."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    names |= {node.name for node in ast.walk(tree) if isinstance(node, DEFINITIONS)}
    names |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    names |= {node.name for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.name}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return names
