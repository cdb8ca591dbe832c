"""The sandbox from outside: verdicts, order, what crosses, limits, and workers that die."""

import math
import os
import signal
from pathlib import Path

import pytest
from sandbox_programs_under_test import CHECK_SORT, GOOD, WRONG

from polymlops.errors import InputError
from polymlops.evaluation.sandbox import VERDICTS, Outcome, Program, SandboxLimits, SandboxPool, run_programs

LIMITS = SandboxLimits(cpu_seconds=1, workers=2, memory_mib=256, output_kib=256)


@pytest.fixture(scope="module")
def pool():
    with SandboxPool(LIMITS) as opened:
        yield opened


def verdict(pool, source, tests, entry_point="f", **fields):
    outcome = pool.run([Program(source, tests, entry_point, **fields)])[0]
    assert outcome.verdict in VERDICTS
    return outcome.verdict, outcome.reason


def test_every_verdict_with_its_reason(pool):
    assert verdict(pool, GOOD.source, CHECK_SORT) == ("passed", "")
    assert verdict(pool, WRONG.source, CHECK_SORT) == ("failed", "AssertionError")
    assert verdict(pool, "def f(xs): return xs[9]\n", CHECK_SORT) == ("failed", "IndexError: list index out of range")
    odd = "class Odd(KeyError): pass\ndef f(xs): raise Odd('it')\n"
    assert verdict(pool, odd, CHECK_SORT) == ("failed", "Odd: 'it'")
    assert verdict(pool, "def g(xs): return xs\n", CHECK_SORT) == ("failed", "NameError: the program defines no f")
    assert verdict(pool, "def f(xs):\n    while True: pass\n", CHECK_SORT) == ("timed_out", "cpu clock")
    assert verdict(pool, "def f(xs): return [0] * 10**9\n", CHECK_SORT)[0] == "memory"
    assert verdict(pool, "def f(xs) return\n", CHECK_SORT)[0] == "syntax_error"
    assert verdict(pool, "a = '\0'", CHECK_SORT)[0] == "syntax_error"
    assert verdict(pool, "import os\ndef f(xs): os.fork()\n", CHECK_SORT)[0] == "blocked"
    assert verdict(pool, GOOD.source, "def check(candidate) broken")[0] == "harness_error"


def test_sleep_is_no_processor_time(pool):
    source = "import time\ndef f(xs):\n    time.sleep(0.7)\n    return sorted(xs)\n"
    assert verdict(pool, source, CHECK_SORT) == ("passed", "")


def test_wall_clock_ends_a_program_that_only_waits():
    limits = SandboxLimits(cpu_seconds=1, wall_seconds=0.5, workers=1)
    source = "import time\ndef f(xs): time.sleep(60)\n"
    assert run_programs([Program(source, CHECK_SORT, "f")], limits)[0].reason == "wall clock"


def test_outcomes_keep_the_order_and_identical_programs_run_once(pool):
    mixed = [GOOD, WRONG, Program("def f(xs):\n    return xs and sorted(xs)\n", CHECK_SORT, "f")] * 5
    outcomes = pool.run(mixed)
    assert [outcome.verdict for outcome in outcomes] == ["passed", "failed", "passed"] * 5
    assert len({id(outcome) for outcome in outcomes}) == 3
    with SandboxPool(LIMITS.model_copy(update={"deduplicate": False})) as each:
        assert len({id(outcome) for outcome in each.run([GOOD] * 4)}) == 4
    assert pool.run([]) == []


def test_tests_of_statements_and_code_before_them(pool):
    source = "class Node:\n    def __init__(self, value):\n        self.value, self.left = value, None\n"
    source += "def depth(node): return 0 if node is None else 1 + depth(node.left)\n"
    setup = "root = Node(1)\nroot.left = Node(2)\nroot.left.left = Node(3)"
    assert verdict(pool, source, "assert depth(root) == 3\nassert root.left.value == 2", "depth", setup=setup) == (
        "passed",
        "",
    )
    assert verdict(pool, source, "assert depth(root) == 2", "depth", setup=setup)[0] == "failed"
    assert verdict(pool, source, "assert depth(Node(1)) == 1", None)[0] == "passed"


def test_program_without_tests_passes_where_it_runs_to_its_end(pool):
    assert verdict(pool, "x = 1\n", "", None) == ("passed", "")
    assert verdict(pool, "1 / 0\n", "", None)[0] == "failed"
    assert verdict(pool, "import os\nos._exit(0)\n", "", None)[0] == "failed"


def test_functions_of_the_tests_come_from_trusted_code(pool):
    """Where the tests call a helper of the prompt, a program that redefines it gains nothing."""
    prompt = "def twice(x):\n    return 2 * x\n\n\ndef f(x):\n"
    tests = "def check(candidate):\n    assert candidate(3) == twice(3)\n"
    assert verdict(pool, prompt + "    return 2 * x\n", tests, helpers=prompt + "    pass\n")[0] == "passed"
    cheat = prompt + "    return 0\ndef twice(x): return 0\n"
    assert verdict(pool, cheat, tests, helpers=prompt + "    pass\n")[0] == "failed"
    assert verdict(pool, cheat, tests)[0] == "passed"


@pytest.mark.parametrize(
    ("body", "tests"),
    [
        ("xs.sort()", "xs = [3, 1, 2]\nassert f(xs) is None\nassert xs == [1, 2, 3]"),
        ("xs.append(1); return xs", "xs = []\nassert f(xs) is xs\nassert f(xs) == [1, 1]"),
        ("xs[0].append(1)", "inner = []\nxs = [inner]\nf(xs)\nassert inner == [1] and xs[0] is inner"),
        ("xs['a'] = 1; del xs['b']", "xs = {'b': 2}\nf(xs)\nassert xs == {'a': 1}"),
        ("xs.add(1)", "xs = {2}\nf(xs)\nassert xs == {1, 2}"),
        ("return (x * x for x in xs)", "assert list(f([1, 2])) == [1, 4]"),
        ("return map(str, xs)", "assert next(iter(f([1, 2]))) == '1' and '2' in f([2])"),
        ("return lambda y: y + xs", "assert f(1)(2) == 3"),
        ("return 1j, {1}, frozenset('a'), b'a', range(3)", "assert f(0) == (1j, {1}, frozenset('a'), b'a', range(3))"),
        ("return float('nan')", "import math\nassert math.isnan(f(0))"),
        ("import re; return re.match('a', xs)", "assert f('a') and not f('b') and f('a').group() == 'a'"),
        ("raise ValueError('no')", "try:\n    f(1)\n    assert 0\nexcept ValueError as e:\n    assert str(e) == 'no'"),
        ("return 10**5000", "assert f(0) == 10**5000"),
        ("return int", "assert f(0) is int"),
        ("import collections; return collections.Counter(xs)", "assert f('aab')['c'] == 0 and f('a') == {'a': 1}"),
    ],
)
def test_what_crosses_behaves_as_in_one_process(pool, body, tests):
    outcome = pool.run([Program(f"def f(xs):\n    {body}\n", tests, "f")])[0]
    assert (outcome.verdict, outcome.in_one_process) == ("passed", False), outcome


def test_functions_as_arguments_are_judged_in_one_process_and_marked(pool):
    tests = [f"assert f(lambda x: x + 1) == {n}" for n in (3, 4)]
    right, wrong = pool.run([Program("def f(g): return g(2)", test, "f") for test in tests])
    assert (right.verdict, right.in_one_process) == ("passed", True)
    assert (wrong.verdict, wrong.in_one_process) == ("failed", True)


def test_numpy_is_there_for_programs_that_import_it(pool):
    source = "import numpy as np\ndef f(xs): return np.cumsum(xs)\n"
    assert verdict(pool, source, "import numpy as np\nassert np.array_equal(f([1, 2]), [1, 3])") == ("passed", "")
    assert verdict(pool, "def f(xs): import torch\n", CHECK_SORT)[1] == "ModuleNotFoundError: No module named 'torch'"


def test_a_run_has_the_same_outcome_every_time(pool):
    source = "import random\ndef f(): return [random.random(), *{'a', 'b', 'c'}]\n"
    tests = "import random\nassert f() == []"
    drawn = "def f(x): return x\n"
    seen = []
    for _ in range(2):
        with SandboxPool(LIMITS) as fresh:
            shown = Program(source + "def g(): raise ValueError(repr(f()))\n", "g()", "g")
            draws = Program(drawn, "import random\nraise ValueError(f(random.random()))", "f")
            seen.append([outcome.reason for outcome in fresh.run([shown, draws])])
    assert seen[0] == seen[1]
    assert verdict(pool, source, tests)[0] == "failed"


def test_programs_may_use_threads(pool):
    source = (
        "import threading\nfrom concurrent.futures import ThreadPoolExecutor\n"
        "def f(xs):\n    assert threading.current_thread() is threading.main_thread()\n"
        "    with ThreadPoolExecutor(3) as threads:\n        return list(threads.map(lambda x: x * x, xs))\n"
    )
    assert verdict(pool, source, "assert f(list(range(50))) == [x * x for x in range(50)]") == ("passed", "")


def test_nothing_of_the_rehearsal_is_there_for_a_program(pool):
    source = "import sys\ndef f(): return sorted(globals()), sys.modules[__name__].f is f, 'rehearsed' in globals()\n"
    tests = "names, mine, rehearsed = f()\nassert mine and not rehearsed\n"
    tests += "assert [name for name in names if name[0] != '_'] == ['f', 'sys']\n"
    assert verdict(pool, source, tests) == ("passed", "")


def test_a_program_of_megabytes_and_binary_junk_are_outcomes(pool):
    assert verdict(pool, "x = 1\n" * 2_000_000, CHECK_SORT) == ("failed", "12000000 characters: not run")
    assert verdict(pool, "\udcff\x00\x01", CHECK_SORT)[0] == "syntax_error"
    assert verdict(pool, "(" * 100_000, CHECK_SORT)[0] in ("syntax_error", "memory")
    with pytest.raises(InputError, match="give a Program"):
        pool.run(["def f(): pass"])


def test_tests_that_never_end_are_ended(pool):
    source = "def f(): return 10**6\n"
    assert verdict(pool, source, "for _ in iter(int, 1):\n    f")[1] == "the tests, on what the program returned"


def test_memory_that_tests_build_of_a_value_is_bounded_too(pool):
    assert verdict(pool, "def f(): return 10**10\n", "assert 'x' * f() == ''") == ("memory", "MemoryError")


def test_harness_errors_are_no_failures():
    assert math.isnan(Outcome("harness_error", "", math.nan, False).passed_or_nan)
    assert Outcome("passed", "", 0.1, False).passed_or_nan == 1
    assert Outcome("timed_out", "", 0.1, False).passed_or_nan == 0


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_dead_worker_is_replaced_and_its_program_runs_again():
    others = set(children(os.getpid()))
    with SandboxPool(SandboxLimits(workers=1)) as pool:
        assert pool.run([GOOD])[0].verdict == "passed"
        (judge,) = set(children(os.getpid())) - others
        os.kill(judge, signal.SIGKILL)
        assert [outcome.verdict for outcome in pool.run([WRONG, GOOD])] == ["failed", "passed"]
        (judge,) = set(children(os.getpid())) - others
        (warden,) = children(judge)
        os.kill(warden, signal.SIGKILL)
        assert pool.run([GOOD])[0].verdict == "passed"
    assert set(children(os.getpid())) == others


def test_a_program_that_kills_every_worker_is_a_harness_error():
    """Tests are trusted: these end the judge itself."""
    with SandboxPool(SandboxLimits(workers=1)) as pool:
        outcomes = pool.run([Program("def f(): pass", "import os\nos._exit(1)", "f"), GOOD])
    assert [outcome.verdict for outcome in outcomes] == ["harness_error", "passed"]
    assert outcomes[0].reason == "2 workers died of it"
