"""Programs as labelled ordered trees: Python's syntax without what has no say in the algorithm.

Docstrings, comments, layout, annotations and type comments are gone. Two readings of the rest:
canonical   names that the program itself binds are numbered in order of appearance, and a constant is its type:
            what remains is the algorithm
kept        names and constants as written
In both, attributes, keywords, imported modules and names that the program does not bind (builtins) stay as they are.

Trees are equal where, and only where, the programs are the same up to what was left out: lists that follow one another
are told apart by a node of their own (`orelse`, `keywords`, ...).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from polymlops.data.suite_syntax import parse_source

# The distance of two trees takes memory and time that grow with the product of their sizes, and more.
MAX_NODES = 2_000
LEFT_OUT = frozenset(("ctx", "annotation", "returns", "type_comment", "type_ignores", "kind", "simple"))
# Fields whose children could be taken for those of a neighbour.
WRAPPED = frozenset(
    (
        *("orelse", "finalbody", "decorator_list", "keywords", "lower", "upper", "step", "values", "defaults"),
        *("kw_defaults", "posonlyargs", "vararg", "kwonlyargs", "kwarg", "cause", "msg", "kwd_patterns"),
        *("format_spec", "guard"),
    )
)


@dataclass(frozen=True, slots=True)
class ProgramTree:
    """Labels in depth-first order; `children[i]` are the indices of node i's children, in order."""

    labels: tuple[str, ...]
    children: tuple[tuple[int, ...], ...]


def program_tree(source: str, keep_names: bool = False) -> ProgramTree | None:
    """The tree of a program, or None where it does not parse or has more than `MAX_NODES` nodes."""
    module = parse_source(source).tree
    if module is None:
        return None
    names = {} if keep_names else _bound_names(module)
    labels: list[str] = []
    children: list[list[int]] = []
    # A stack instead of recursion: a model may nest as deep as the parser allows.
    waiting: list[tuple[ast.AST | _Group, int | None]] = [(module, None)]
    while waiting:
        node, parent = waiting.pop()
        if len(labels) == MAX_NODES:
            return None
        if parent is not None:
            children[parent].append(len(labels))
        waiting += [(child, len(labels)) for child in reversed(list(_children(node)))]
        labels.append(_label(node, names, keep_names))
        children.append([])
    return ProgramTree(tuple(labels), tuple(tuple(row) for row in children))


@dataclass(frozen=True, slots=True)
class _Group:
    """Children of one field under a node of their own; None among them is a place left open, as in `{**a}`."""

    name: str
    members: tuple[Any, ...]


def _children(node: ast.AST | _Group) -> Iterator[ast.AST | _Group]:
    if isinstance(node, _Group):
        yield from (member if isinstance(member, ast.AST) else _Group("none", ()) for member in node.members)
        return
    for field, value in ast.iter_fields(node):
        if field in LEFT_OUT or value is None or value == []:
            continue
        members = value if isinstance(value, list) else [value]
        if field == "body" and isinstance(value, list):
            members = _without_docstring(node, value)
        if field in WRAPPED:
            yield _Group(field, tuple(members))
        else:
            # Operators are part of the label; `keys` of a dictionary has None for `**`.
            yield from (
                member if isinstance(member, ast.AST) else _Group("none", ())
                for member in members
                if (isinstance(member, ast.AST) and not _is_operator(member)) or member is None
            )


def _without_docstring(node: ast.AST, body: list[Any]) -> list[Any]:
    if not isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return body
    return body[1:] if ast.get_docstring(node, clean=False) is not None else body


def _is_operator(node: ast.AST) -> bool:
    return isinstance(node, ast.operator | ast.unaryop | ast.boolop | ast.cmpop)


def _label(node: ast.AST | _Group, names: dict[str, str], keep_names: bool) -> str:
    """The node's class with its operators and words; the group's name."""
    if isinstance(node, _Group):
        return node.name
    if isinstance(node, ast.Constant):
        detail = f":{node.value!r}" if keep_names else ""
        return f"Constant:{type(node.value).__name__}{detail}"
    words = []
    for field, value in ast.iter_fields(node):
        if field in LEFT_OUT:
            continue
        for member in value if isinstance(value, list) else [value]:
            if isinstance(member, ast.AST):
                words += [type(member).__name__] if _is_operator(member) else []
            elif member is not None:
                words.append(_word(node, field, member, names))
    return ":".join([type(node).__name__, *words])


def _word(node: ast.AST, field: str, value: object, names: dict[str, str]) -> str:
    is_fixed = field in ("attr", "module", "level", "conversion", "kwd_attrs") or isinstance(node, ast.keyword)
    if is_fixed or (isinstance(node, ast.alias) and field == "name"):
        return str(value)
    return names.get(str(value), str(value))


def _bound_names(module: ast.Module) -> dict[str, str]:
    """Names that the program binds, numbered in order of appearance."""
    bound: dict[str, str] = {}
    for node in _in_order(module):
        for name in _binds(node):
            bound.setdefault(name, f"v{len(bound)}")
    return bound


def _binds(node: ast.AST) -> list[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
            return [name]
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            return [name]
        case ast.MatchMapping(rest=str(name)):
            return [name]
        case ast.alias(asname=str(name)):
            return [name]
    return []


def _in_order(module: ast.Module) -> Iterator[ast.AST]:
    waiting: list[ast.AST] = [module]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed(list(ast.iter_child_nodes(node)))
