"""A judge for the embedded world's own tiny programs: a whitelist, then a run with fuel.

For the world's own grammar only. It contains what a small model trained on these programs may write by accident; it
is no sandbox against somebody who tries. Code in general belongs in `polymlops.evaluation.sandbox`.

Contained: syntax outside a short list of nodes, names and methods is refused before anything runs; loops, lambdas,
ranges, sizes and numbers are bounded while it runs; no builtin but the listed ones can be reached.
Not contained: memory and time are bounded only by those counts, not by the operating system.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable
from typing import Any

from polymlops.data.world_fuel import BUILTINS, MAX_NUMBER, METHODS, Fuel, RefusedError
from polymlops.data.world_programs import Problem

MAX_CHARACTERS = 600
MAX_NODES = 200

NODES: tuple[type[ast.AST], ...] = (
    *(ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.Assign, ast.AugAssign, ast.Expr, ast.Pass),
    *(ast.If, ast.For, ast.Break, ast.Continue, ast.Name, ast.Load, ast.Store, ast.Constant, ast.List, ast.Tuple),
    *(ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod, ast.UnaryOp, ast.USub, ast.Not),
    *(ast.BoolOp, ast.And, ast.Or, ast.Compare, ast.cmpop, ast.IfExp, ast.Subscript, ast.Slice, ast.Attribute),
    *(ast.Call, ast.keyword, ast.Lambda, ast.ListComp, ast.GeneratorExp, ast.comprehension),
)
FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    NameError,
    RuntimeError,
    StopIteration,
    TypeError,
    ValueError,
)


def program_passes(problem: Problem, completion: str) -> bool:
    """True where prompt + completion is one permitted function that passes the problem's tests.

    The completion is the function's body; a first line that lost its indentation gets it back. Whatever is refused,
    raises, or takes too many steps is a fail.
    """
    if completion[:1] not in (" ", "\t", "\n"):
        completion = "    " + completion
    try:
        candidate = _restricted_function(problem, completion)
        checks: dict[str, Any] = {"__builtins__": {}}
        exec(problem.test, checks)
        checks["check"](candidate)
    except (SyntaxError, *FAILURES):
        return False
    return True


def _restricted_function(problem: Problem, completion: str) -> Callable[..., Any]:
    """Parse, check and compile a completion.

    Raises:
        RefusedError: it is outside the world's grammar.
        SyntaxError: it is not Python.
    """
    if len(completion) > MAX_CHARACTERS:
        raise RefusedError(f"longer than {MAX_CHARACTERS} characters")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        module = ast.parse(problem.prompt + completion)
        _refuse_foreign(module, problem.entry_point)
        code = compile(ast.fix_missing_locations(_Guard().visit(module)), "<program>", "exec")
    names = Fuel().names()
    exec(code, names)
    function: Callable[..., Any] = names[problem.entry_point]
    return function


def _refuse_foreign(module: ast.Module, entry_point: str) -> None:
    """Refuse everything but one plain function made of the permitted nodes and names."""
    functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)]
    if module.body != functions or [function.name for function in functions] != [entry_point]:
        raise RefusedError("not exactly one function")
    nodes = list(ast.walk(module))
    if len(nodes) > MAX_NODES:
        raise RefusedError(f"more than {MAX_NODES} nodes")
    for node in nodes:
        if not isinstance(node, NODES):
            raise RefusedError(f"{type(node).__name__} is not permitted")
        _refuse_by_kind(node)


def _refuse_by_kind(node: ast.AST) -> None:
    match node:
        case ast.Constant(value=value):
            refused = not isinstance(value, (str, int, type(None))) or (isinstance(value, int) and value > MAX_NUMBER)
        case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
            refused = name in BUILTINS or (name.startswith("_") and name != "_")
        case ast.Name(id=name):
            refused = name.startswith("_") and name != "_"
        case ast.Call(func=ast.Name(id=name), keywords=keywords):
            refused = name not in BUILTINS or any(keyword.arg not in ("key", "reverse") for keyword in keywords)
        case ast.Call(func=ast.Attribute(attr=name), keywords=keywords):
            refused = name not in METHODS or any(keyword.arg not in ("key", "reverse") for keyword in keywords)
        case ast.Call() | ast.Subscript(ctx=ast.Store()):
            refused = True
        case ast.FunctionDef(decorator_list=decorators, returns=returns):
            refused = bool(decorators) or returns is not None
        case ast.arguments(defaults=defaults, kwonlyargs=keyword_only, vararg=rest, kwarg=options):
            refused = bool(defaults or keyword_only or rest or options)
        case _:
            refused = False
    if refused:
        raise RefusedError(f"{ast.unparse(node)} is not permitted")


class _Guard(ast.NodeTransformer):
    """Puts a guard around everything that can repeat or grow. Its names start with `__`, which no program may use."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        return _call("__operate", ast.Constant(type(node.op).__name__), node.left, node.right)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        if not isinstance(node.target, ast.Name):
            raise RefusedError("augmented assignment to something other than a name")
        before = ast.Name(node.target.id, ast.Load())
        value = _call("__operate", ast.Constant(type(node.op).__name__), before, self.visit(node.value))
        return ast.Assign([node.target], value)

    def visit_For(self, node: ast.For) -> ast.AST:
        self.generic_visit(node)
        node.iter = _call("__steps", node.iter)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        self.generic_visit(node)
        node.iter = _call("__steps", node.iter)
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self.generic_visit(node)
        node.body = _call("__step", node.body)
        return node

    def visit_List(self, node: ast.List) -> ast.AST:
        self.generic_visit(node)
        return _call("__flat", node) if isinstance(node.ctx, ast.Load) else node

    def visit_Tuple(self, node: ast.Tuple) -> ast.AST:
        self.generic_visit(node)
        return _call("__flat", node) if isinstance(node.ctx, ast.Load) else node

    def visit_ListComp(self, node: ast.ListComp) -> ast.AST:
        self.generic_visit(node)
        return _call("__flat", node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        function = node.func
        if not isinstance(function, ast.Attribute):
            return self.generic_visit(node)
        arguments = [self.visit(function.value), ast.Constant(function.attr), *map(self.visit, node.args)]
        keywords = [ast.keyword(keyword.arg, self.visit(keyword.value)) for keyword in node.keywords]
        return ast.Call(ast.Name("__method", ast.Load()), arguments, keywords)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        raise RefusedError(f"a method that is not called: {node.attr}")


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])
