"""Calls that are foreseen change how long a verdict takes, and no verdict."""

import itertools

import pytest

from polymlops.evaluation.sandbox import Program, SandboxLimits, SandboxPool
from polymlops.evaluation.sandbox_foresight import MOST_BYTES, MOST_CALLS, MOST_PROBLEMS, Foresight, Script

LIMITS = SandboxLimits(cpu_seconds=1, workers=1)
CHAINED = """
xs = [1]
assert f(f(2)) == 4
assert f(xs) == 2 and xs == [1, 1]
assert list(g(3)) == [0, 1, 2]
assert f(9) == 18
"""
APPENDS = "import os\ndef f(x):\n    if isinstance(x, list):\n        x.append(1)\n        return 2\n"
BODIES = {
    "right": APPENDS + "    return 2 * x if x > 3 else x + {n}\n",
    "leaves the list alone": "def f(x):\n    return 2 if isinstance(x, list) else 2 * x if x > 3 else x + {n}\n",
    "stops": APPENDS + "    if x == 9: os._exit(0)\n    return x + {n}\n",
    "counts": "seen = []\ndef f(x):\n    seen.append(x)\n    return len(seen) * 2\n",
}
LISTED = "def g(n): return list(range(n))\n"
LAZY = "def g(n): return (i for i in range(n))\n"


def sources():
    for (name, body), n, g in itertools.product(BODIES.items(), (1, 2), (LISTED, LAZY)):
        yield f"# {name}\n{body.format(n=n)}{g}"


@pytest.mark.parametrize("order", [1, -1], ids=["forwards", "backwards"])
def test_verdicts_do_not_depend_on_what_ran_before(order):
    """Every program alone, in a pool of its own memory, and after all the others."""
    chosen = [Program(source, CHAINED, None) for source in sources()]
    with SandboxPool(LIMITS) as pool:
        alone = []
        for number, program in enumerate(chosen):
            own = Program(program.source, f"{program.tests}\n# {number}", None)
            alone.append(pool.run([own])[0])
        together = pool.run(chosen[::order])[::order]
    assert [(o.verdict, o.reason) for o in together] == [(o.verdict, o.reason) for o in alone]
    assert {outcome.verdict for outcome in alone} == {"passed", "failed"}


def test_a_call_after_a_failing_one_is_not_waited_for():
    tests = "assert f(1) == 1\nassert f(2) == 2\n"
    with SandboxPool(LIMITS) as pool:
        first = pool.run([Program("def f(x): return x\n", tests, "f")])[0]
        slow = "def f(x):\n    while x == 2: pass\n    return 0\n"
        second = pool.run([Program(slow, tests, "f")])[0]
    assert (first.verdict, second.verdict, second.reason) == ("passed", "failed", "AssertionError")


def test_scripts_are_bounded():
    script = Script()
    assert all(script.extend("f", b"x") for _ in range(MOST_CALLS))
    assert not script.extend("f", b"x")
    script.shorten(2)
    assert (len(script.calls), script.size) == (2, 2)
    assert not script.extend("f", b"x" * MOST_BYTES)
    foresight = Foresight()
    kept = foresight.script("kept")
    for number in range(MOST_PROBLEMS - 1):
        foresight.script(str(number))
    assert foresight.script("kept") is kept
    foresight.script("one more")
    foresight.script("and another")
    assert foresight.script("kept") is kept
