"""Trees of programs are equal where the syntax is, up to what is left out."""

from __future__ import annotations

import argparse
import ast
import asyncio.tasks
import dataclasses
import inspect
import statistics
import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polymlops.data.world_programs import programs
from polymlops.evaluation.program_trees import MAX_NODES, ProgramTree, program_tree
from polymlops.evaluation.tree_distance import edit_distance

PROBLEM = next(problem for problem in programs(0, "test") if problem.entry_point == "keep_below")
BODIES = (*PROBLEM.solutions, *PROBLEM.wrong)
SOURCES = tuple(PROBLEM.prompt + body for body in BODIES)

# Pairs that differ in structure or in a word that counts, and that a careless tree would take for equal.
DIFFERENT = [
    ("if a:\n    b()\n    c()", "if a:\n    b()\nelse:\n    c()"),
    ("x[1:]", "x[:1]"),
    ("x[::1]", "x[:1:]"),
    ("x - y", "x + y"),
    ("a < b <= c", "a <= b < c"),
    ("not x", "-x"),
    ("def f(a, b=1): pass", "def f(a, b, c): pass"),
    ("def f(a, *, b): pass", "def f(a, b): pass"),
    ("def f(a, /, b): pass", "def f(a, b): pass"),
    ("def f(*a): pass", "def f(**a): pass"),
    ("f(a, b=c)", "f(a, c)"),
    ("f(*a)", "f(a)"),
    ("{**a}", "{a: a}"),
    ("{a: b, c: d}", "{a: c, b: d}"),
    ("x.append(1)", "x.extend(1)"),
    ("import math", "import cmath"),
    ("for i in x:\n    a()\n    b()", "for i in x:\n    a()\nelse:\n    b()"),
    ("try:\n    a()\nexcept E:\n    b()\n    c()", "try:\n    a()\nexcept E:\n    b()\nelse:\n    c()"),
    ("try:\n    a()\nexcept E:\n    b()\nelse:\n    c()", "try:\n    a()\nexcept E:\n    b()\nfinally:\n    c()"),
    ("async def f(): pass", "def f(): pass"),
    ("sorted(x)", "max(x)"),
    ("x = 1", "x = '1'"),
    ("from . import a", "from .. import a"),
    ("f'{x}'", "f'{x!r}'"),
    ("f'{x:{y}}'", "f'{x}{y}'"),
    ("[x for x in a if b if c]", "[x for x in a if b for x in c]"),
    ("raise a from b", "raise a"),
    ("@d\ndef f(): pass", "def f(): d"),
    ("match x:\n    case a if b: c", "match x:\n    case a: b; c"),
    ("match x:\n    case P(a, b=1): c", "match x:\n    case P(a, 1): c"),
    ("match x:\n    case {'a': 1, **r}: c", "match x:\n    case {'a': 1}: c"),
    ("def f(a, b):\n    return a - b", "def f(a, b):\n    return b - a"),
]
SAME_ALGORITHMS = [
    ("def f(a):\n    return a + 1", "def g(b):\n    '''Add.'''\n    # one\n    return (b + 2)"),
    ("def f(a: int) -> int: return a", "def f(a): return a"),
    ("for i in x:\n    t = i", "for  item in x :\n\n    total = item"),
    ("[v for v in x]", "[w for w in x]"),
    ("import numpy as np\nnp.sum(x)", "import numpy as n\nn.sum(x)"),
    ("try:\n    a()\nexcept E as e:\n    e", "try:\n    a()\nexcept E as error:\n    error"),
    ("lambda x: x * 3", "lambda y: y * 4"),
]


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
@pytest.mark.parametrize("keep_names", [True, False])
def test_programs_that_differ_have_different_trees(left, right, keep_names):
    trees = [program_tree(source, keep_names) for source in (left, right)]
    assert None not in trees
    assert trees[0] != trees[1]
    assert edit_distance(*trees) > 0


@pytest.mark.parametrize(("left", "right"), SAME_ALGORITHMS)
def test_names_constants_and_what_explains_do_not_count_when_canonical(left, right):
    assert program_tree(left) == program_tree(right)


def test_names_and_constants_count_when_kept():
    left, right = "def f(a):\n    return a + 1", "def f(b):\n    return b + 1"
    assert program_tree(left, True) != program_tree(right, True)
    assert program_tree("f(1)", True) != program_tree("f(2)", True)
    assert program_tree("f(True)", True) != program_tree("f(1)", True)
    assert program_tree(left, True) == program_tree("def f(a):\n    'Doc.'\n    return a + 1  # so", True)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(BODIES), min_size=2, max_size=2), st.sampled_from(range(12)))
def test_kept_trees_are_equal_where_the_syntax_is(pair, parameter):
    sources = [PROBLEM.prompt + body.replace("2", str(parameter)) for body in pair]
    trees = [program_tree(source, True) for source in sources]
    assert (trees[0] == trees[1]) == (ast.dump(ast.parse(sources[0])) == ast.dump(ast.parse(sources[1])))


class Stripped(ast.NodeTransformer):
    """Syntax without what the trees leave out."""

    def generic_visit(self, node):
        super().generic_visit(node)
        for field in ("annotation", "returns", "type_comment", "kind"):
            if hasattr(node, field):
                setattr(node, field, None)
        documented = isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if documented and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
        if isinstance(node, ast.AnnAssign):
            node.simple = 0
        return node


MODULES = [argparse, ast, asyncio.tasks, dataclasses, statistics, typing]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_statements_of_the_standard_library_have_one_tree_where_they_have_one_syntax(module):
    source = inspect.getsource(module)
    statements = [ast.unparse(node) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)]
    syntax_of: dict[ProgramTree | None, set[str]] = {}
    for text in {text for text in statements if len(text) < 300}:
        tree = program_tree(text, True)
        syntax_of.setdefault(tree, set()).add(ast.dump(Stripped().visit(ast.parse(text))))
    assert None not in syntax_of
    assert len(syntax_of) > 100
    assert {len(found) for found in syntax_of.values()} == {1}


@pytest.mark.parametrize(
    "source", ["def f(:", "x\x00", "(" * 5_000, "x = " + "-" * 20_000 + "1", "\ud800", "9" * 5_000]
)
def test_what_is_not_python_has_no_tree(source):
    assert program_tree(source) is None


def test_a_program_beyond_the_bound_has_no_tree():
    assert program_tree("\n".join(["f(x)"] * (MAX_NODES // 4 - 1))) is not None
    assert program_tree("\n".join(["f(x)"] * MAX_NODES)) is None
