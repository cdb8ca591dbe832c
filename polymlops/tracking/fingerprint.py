"""A fingerprint of the library source that a stage uses, read from the files without importing anything.

A cached result is only worth having while the code that made it is the same. The fingerprint covers every polymlops
module that is reachable through imports (those inside functions too) from where the stage starts, and the versions of
the packages among those imports that decide numbers. Comments, docstrings and blank lines do not count. Not covered:
data files that a module reads by name. Left out on purpose: config, errors and tracking, whose values are in the
stage's slice or in no result.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import io
import textwrap
import tokenize
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polymlops

NUMERIC_PACKAGES = {
    "numpy": "numpy",
    "peft": "peft",
    "scipy": "scipy",
    "sentence_transformers": "sentence-transformers",
    "sklearn": "scikit-learn",
    "tokenizers": "tokenizers",
    "torch": "torch",
    "transformers": "transformers",
    "trl": "trl",
}
PARSE_ATTEMPTS = 50  # a collision takes milliseconds; drop with Python 3.11
OUTSIDE = ("config", "errors", "tracking")
BLOCKS = ("body", "handlers", "orelse", "finalbody", "cases")  # fields of syntax trees that hold statements


@dataclass(frozen=True)
class SourceTree:
    """A package on disk: its import name, its folder, and the parts of it that count for nothing."""

    package: str
    folder: Path
    outside: tuple[str, ...] = ()

    def file(self, module: str) -> Path | None:
        """Source file of a dotted module name in this package; none where there is no such module."""
        head, *rest = module.split(".")
        if head != self.package:
            return None
        stem = self.folder.joinpath(*rest)
        candidates = (stem / "__init__.py", stem.with_suffix(".py") if rest else stem / "__init__.py")
        return next((path for path in candidates if path.is_file()), None)

    def counts(self, module: str) -> bool:
        """True for a module of this package that is not among the parts left out."""
        parts = module.split(".")
        return parts[0] == self.package and (len(parts) == 1 or parts[1] not in self.outside)


LIBRARY = SourceTree("polymlops", Path(polymlops.__file__).parent, OUTSIDE)


def work_fingerprint(work: Callable[..., Any], tree: SourceTree = LIBRARY) -> str:
    """Fingerprint of a function and of everything in the library that it reaches through imports."""
    return source_fingerprint([textwrap.dedent(inspect.getsource(work))], tree)


def folder_fingerprint(folder: Path, tree: SourceTree = LIBRARY) -> str:
    """Fingerprint of all modules of a folder and of everything in the library that they reach."""
    return source_fingerprint([path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py"))], tree)


def source_fingerprint(sources: Iterable[str], tree: SourceTree = LIBRARY) -> str:
    """First 16 hex digits of a sha256 over the sources, the modules that they reach and the packages that count."""
    texts = tuple(sources)
    known = _KNOWN.get((texts, tree))
    if known is None or not known.still_holds():
        known = _KNOWN[texts, tree] = _read_sources(texts, tree)
    lines = [known.digest, *(f"{name}=={_public_version(name)}" for name in sorted(known.packages))]
    return hashlib.sha256("\0".join(lines).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _Known:
    """What sources reach, and when those files were written: a plan asks for the same sources again and again."""

    digest: str
    packages: frozenset[str]
    files: Mapping[Path, int]

    def still_holds(self) -> bool:
        return all(path.is_file() and path.stat().st_mtime_ns == written for path, written in self.files.items())


_KNOWN: dict[tuple[tuple[str, ...], SourceTree], _Known] = {}


def _read_sources(texts: tuple[str, ...], tree: SourceTree) -> _Known:
    modules, packages = _closure(set().union(*(_imports(text, "") for text in texts)), tree)
    digest = hashlib.sha256()
    for text in texts:
        digest.update(_essence(text, _statements(_parsed(text))).encode())
    for module in sorted(modules):
        digest.update(f"\0{module}\0{_essence_of(module, tree)}".encode())
    files = {path: path.stat().st_mtime_ns for module in modules if (path := tree.file(module)) is not None}
    return _Known(digest.hexdigest(), frozenset(packages & NUMERIC_PACKAGES.keys()), files)


@cache
def _public_version(name: str) -> str:
    return version(NUMERIC_PACKAGES[name]).partition("+")[0]


def reached_modules(sources: Iterable[str], tree: SourceTree = LIBRARY) -> set[str]:
    """Names of the tree's modules that the sources reach through imports."""
    return _closure(set().union(*(_imports(text, "") for text in sources)), tree)[0]


def _closure(imported: set[str], tree: SourceTree) -> tuple[set[str], set[str]]:
    modules: set[str] = set()
    packages: set[str] = set()
    waiting = set(imported)
    while waiting:
        name = waiting.pop()
        if not name.startswith(f"{tree.package}.") and name != tree.package:
            packages.add(name.partition(".")[0])
            continue
        for module in _with_parents(name):
            if module in modules or not tree.counts(module):
                continue
            path = tree.file(module)
            if path is not None:
                modules.add(module)
                waiting |= _imports_of(path, module if path.name != "__init__.py" else f"{module}.__init__")
    return modules, packages


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


def _imports_of(path: Path, module: str) -> frozenset[str]:
    return _read(path, module).imports


def _imports(text: str, module: str) -> frozenset[str]:
    """Dotted names that may be modules: `from a import b` gives a and a.b."""
    return _named(_statements(_parsed(text)), module)


def _statements(tree: ast.Module) -> list[ast.AST]:
    """The module and all that is in its blocks: what is inside of expressions imports nothing and has no docstring."""
    nodes: list[ast.AST] = [tree]
    for node in nodes:  # grows meanwhile
        for block in BLOCKS:
            nodes += getattr(node, block, ())
    return nodes


def _named(nodes: Iterable[ast.AST], module: str) -> frozenset[str]:
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(module.split(".")[: -node.level]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            names |= {source} | {f"{source}.{alias.name}" for alias in node.names}
    return frozenset(names)


def _parsed(text: str) -> ast.Module:
    """The syntax tree; CPython 3.11 counts the depth of all threads that parse together, and says SystemError."""
    for _ in range(PARSE_ATTEMPTS - 1):
        with suppress(SystemError):
            return ast.parse(text)
    return ast.parse(text)


def _essence_of(module: str, tree: SourceTree) -> str:
    path = tree.file(module)
    if path is None:  # the closure holds only modules that have a file
        raise FileNotFoundError(f"{module}: its file is gone")
    return _read(path, module if path.name != "__init__.py" else f"{module}.__init__").essence


@dataclass(frozen=True)
class _Source:
    essence: str
    imports: frozenset[str]


def _read(path: Path, module: str) -> _Source:
    stat = path.stat()
    return _read_version(path, module, stat.st_mtime_ns, stat.st_size)


@cache
def _read_version(path: Path, module: str, _modified: int, _size: int) -> _Source:
    text = path.read_text(encoding="utf-8")
    nodes = _statements(_parsed(text))
    return _Source(_essence(text, nodes), _named(nodes, module))


def _essence(text: str, nodes: Iterable[ast.AST]) -> str:
    """The source without comments, docstrings and blank lines, the same on every Python version."""
    lines = text.splitlines()
    if "#" in text:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                row, column = token.start
                lines[row - 1] = lines[row - 1][:column]
    for first, last in _docstrings(nodes):
        lines[first - 1 : last] = [""] * (last - first + 1)
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _docstrings(nodes: Iterable[ast.AST]) -> list[tuple[int, int]]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    owners = [node for node in nodes if isinstance(node, kinds)]
    first = [node.body[0] for node in owners if ast.get_docstring(node, clean=False)]
    return [(node.lineno, node.end_lineno or node.lineno) for node in first]
