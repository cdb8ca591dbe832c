"""The judge of tiny programs: refuses what is outside the grammar, and ends soon on anything."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polymlops.data.world_judge import program_passes
from polymlops.data.world_program_families import FAMILIES
from polymlops.data.world_programs import Problem, build_problem, programs

BY_NAME = {family.name: family for family in FAMILIES}


def problem(name: str, parameter: str = "3") -> Problem:
    return build_problem(BY_NAME[name], parameter, np.random.default_rng(0))


@pytest.mark.parametrize(
    "body",
    [
        "return x + 3",
        "    return x + 3",
        "    y = x + 3\n    return y\n",
        "\n    return x + 3\n\n",
        "    y = 0\n    y += x\n    y += 3\n    return y",
        "    for i in range(3):\n        x = x + 1\n    return x",
        "    return [x, 3][0] + (3 if True else x)",
        "    return max([x + 3], key=lambda v: v)",
        "    items = [x]\n    items.append(3)\n    return sum(items)",
        "    return int(str(x)) + 3",
        "    return sum(sorted(list(tuple([x, 3])), reverse=True), 0)",
    ],
)
def test_honest_variants_pass(body):
    assert program_passes(problem("add"), body)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "    pass",
        "    return",
        "    return None",
        "    return x +",
        "    import os\n    return x + 3",
        "    while False:\n        pass\n    return x + 3",
        "    return eval('x + 3')",
        "    return x ** 1 + 3",
        "    return (x.__class__)(x + 3)",
        "    return __import__('os') and x + 3",
        "    _y = x\n    return _y + 3",
        "    sum = x\n    return sum + 3",
        "    f = lambda v: v + 3\n    return f(x)",
        "    return (lambda v: v + 3)(x)",
        "    f = 'a'.upper\n    return x + 3",
        "    return x + 3.0",
        "    return f'{x}' and x + 3",
        "    return x + 3 if {1: 2} else x + 3",
        "    y = [0]\n    y[0] = x\n    return y[0] + 3",
        "    try:\n        return x + 3\n    except ValueError:\n        return 0",
        "    return x + 3\nprint('more')",
        "    return x + 3\ndef add(x):\n    return x + 3",
        "    def inner(v):\n        return v\n    return x + 3",
        "    return add(x - 1) + 4",
        "    global y\n    return x + 3",
        "    return (y := x) + 3",
        "    return sum([*[x], 3])",
        "    return x + 3 # " + "z" * 700,
        "    return x + 3 + 0 * 10000000000",
        "    return x + 3\x00",
        "    return '%9999999d' % x",
        "    return sum([[x]], [])[0] + 3",
        "    assert x is x\n    return x + 3",
    ],
)
def test_what_is_outside_the_grammar_fails(body):
    assert not program_passes(problem("add"), body)


@pytest.mark.parametrize(
    "body",
    [
        "    for i in range(10000000):\n        x = i\n    return x",
        "    return [i for a in range(500) for b in range(500) for i in range(500)]",
        "    return sum(sum(sum(range(500)) for b in range(500)) for a in range(500))",
        "    t = 'a'\n    for i in range(400):\n        t = t + t\n    return t",
        "    t = 'a'\n    for i in range(400):\n        t += t\n    return t",
        "    t = 'ab'\n    for i in range(400):\n        t = t.join([t, t, t])\n    return t",
        "    return 'a' * 1000000000",
        "    return 1000000000 * 'a'",
        "    for i in range(400):\n        x = x * x * 999\n    return x",
        "    a = [1]\n    for i in range(400):\n        a = [a, a]\n    return a == a",
        "    a = [1]\n    for i in range(400):\n        a = list(zip(a, a))\n    return a == a",
        "    a = [1]\n    a.append(a)\n    return a == [a]",
        "    a = [1]\n    for v in a:\n        a.append(v)\n    return a",
        "    return max(map(lambda a: max(map(lambda b: max(map(abs, range(500))), range(500))), range(500)))",
        "    return max(range(500), key=lambda a: max(range(500), key=lambda b: max(range(500), key=lambda c: c)))",
        "    f = lambda v: max([v], key=f)\n    return max([x], key=f)",
        "    return " + "(" * 250 + "x" + ")" * 250,
        "    return " + "-" * 550 + "x",
        "    return " + "[" * 190 + "]" * 190,
        "    return sorted(range(500), key=lambda v: sum(range(500)) + sum(range(500)) + sum(range(500)))",
    ],
)
def test_the_judge_ends_soon_on_hostile_programs(body):
    began = time.perf_counter()
    assert not program_passes(problem("add"), body)
    assert time.perf_counter() - began < 5  # each takes well under a second; the bound only tells for ever from soon


def plainly_passes(task: Problem, body: str) -> bool:
    """The verdict of Python itself, for texts that are cut and glued from this module's own solutions only."""
    names: dict[str, object] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            exec(task.prompt + body + "\n" + task.test, names)
        names["check"](names[task.entry_point])
    except Exception:  # noqa: BLE001  whatever a wrong program raises is a fail
        return False
    return True


@given(st.text(max_size=80))
@settings(max_examples=150)
def test_any_text_is_judged(text):
    assert program_passes(problem("keep_below"), text) is False


@given(st.data())
@settings(max_examples=150)
def test_any_mixture_of_solutions_is_judged(data):
    """Nothing escapes the judge, and its verdict is that of a plain run of the same text."""
    pool = [body for task in programs(0, "train") for body in task.solutions + task.wrong]
    first, second = data.draw(st.sampled_from(pool)), data.draw(st.sampled_from(pool))
    text = "    " + (first[: data.draw(st.integers(0, len(first)))] + second).lstrip(" ")
    task = problem("last")
    assert program_passes(task, text) == plainly_passes(task, text)


def test_a_program_cannot_change_the_next_ones_builtins():
    assert not program_passes(problem("add"), "    max = x\n    return x + 3")
    assert program_passes(problem("at_least"), "    return max(x, 3)")
