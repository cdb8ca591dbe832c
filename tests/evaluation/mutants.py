"""Programs that are nearly right: one operator, comparison, constant or condition of a solution changed at a time."""

from __future__ import annotations

import ast
import copy
import warnings
from collections.abc import Iterator

ARITHMETIC: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.FloorDiv,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
COMPARISONS: dict[type, type] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


def mutants(source: str, name: str) -> Iterator[str]:
    """Every program that differs from the source in one place of the function of that name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        warnings.simplefilter("ignore", DeprecationWarning)  # what a bad escape was before Python 3.12
        tree = ast.parse(source)
    for index, node in enumerate(ast.walk(function(tree, name))):
        for change in range(changes(node)):
            mutant = copy.deepcopy(tree)
            mutate(list(ast.walk(function(mutant, name)))[index], change)
            yield ast.unparse(ast.fix_missing_locations(mutant))


def function(tree: ast.Module, name: str) -> ast.AST:
    """The last definition of the name, which is the one that counts."""
    return [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name][-1]


def changes(node: ast.AST) -> int:
    """In how many ways a node can be changed."""
    match node:
        case ast.BinOp(op=op) | ast.AugAssign(op=op):
            return int(type(op) in ARITHMETIC)
        case ast.Compare(ops=ops):
            return int(type(ops[0]) in COMPARISONS)
        case ast.Constant(value=bool()) | ast.BoolOp() | ast.Return(value=ast.expr()):
            return 1
        case ast.Constant(value=int() | float()):
            return 2
        case ast.If() | ast.While():
            return 1
    return 0


def mutate(node: ast.AST, change: int) -> None:
    """Change a node in place."""
    match node:
        case ast.BinOp() | ast.AugAssign():
            node.op = ARITHMETIC[type(node.op)]()
        case ast.Compare():
            node.ops[0] = COMPARISONS[type(node.ops[0])]()
        case ast.Constant(value=bool()):
            node.value = not node.value
        case ast.Constant():
            node.value = node.value + (1, -1)[change]
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.Return():
            node.value = ast.List([node.value], ast.Load())
        case ast.If() | ast.While():
            node.test = ast.UnaryOp(ast.Not(), node.test)
