"""What is read from a completion: a canonical one in any dress is the canonical program; anything else has a reason."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polymlops.config.suites import HumanEvalConfig, MbppConfig
from polymlops.data.suite_problems import Problem
from polymlops.data.suite_syntax import MAX_CHARACTERS, parse_source
from polymlops.data.suites import load_suite, world_problems
from polymlops.data.world_programs import programs
from polymlops.evaluation.completions import RAW_LIMIT, extract

PREFIX = (
    "from typing import List\nimport math\n\n\ndef is_even(n):\n    return n % 2 == 0\n\n\n"
    "def halves(items: List[int]) -> List[int]:\n"
    '    """ Halve the even items.\n\n    >>> halves([2, 3])\n    [1]\n    """\n'
)
BODIES = (
    "    return [v // 2 for v in items if is_even(v)]\n",
    "    out = []\n    for v in items:\n        if is_even(v):\n            out.append(v // 2)\n\n    return out\n",
    "    def half(v):\n        # whole\n        return v // 2\n    return [half(v) for v in items if is_even(v)]\n",
    "    text = '''\nat the margin\n'''\n    return [math.floor(v / 2)\nfor v in items if text and is_even(v)]\n",
    "    if not items:\n        return []\n    return [items[0] // 2]\n",
)
PROGRAM = (
    "import math \r\nLIMIT = 3\r\n\r\n@staticmethod\r\ndef helper(x):\r\n\treturn x\r\n"
    "def area(r):\r\n\tif r > LIMIT:\r\n\t\treturn math.pi\r\n\treturn helper(r)"
)
LISTED = [
    *(Problem("H/0", PREFIX, PREFIX, "halves", "", "", body, "H/0") for body in BODIES),
    Problem("M/0", "Write area.", "", "area", "", "", PROGRAM, "M/0"),
    *world_problems(0, 6, "train"),
]
WORLD = [
    Problem(p.task_id, p.prompt, p.prompt, p.entry_point, p.test, "", body, p.entry_point)
    for p in programs(2, "test")
    for body in p.solutions
]
PROSE = [
    *(
        "Sure!",
        "Here is the solution:",
        "Here's the code (it's simple):",
        "Certainly",
        "**Solution**",
        "1. First step.",
    ),
    *(
        "This works because the list is walked once.",
        "Note: it is fast",
        "Time complexity: O(n)",
        "I hope this helps :)",
    ),
    *("# Solution", "- a list\n- of points", "The function `halves` returns", 'He said "go', "Let's see,\n\nok"),
]
END = ["", "<|im_end|>", "<|endoftext|>\nmore", "\n[DONE]\n\nYou are an expert"]
DEMONSTRATIONS = ["print(1)", "assert 1 == 2", 'if __name__ == "__main__":\n    main()', "for x in y:\n    print(x)"]

thinking = st.sampled_from(["", "<think>\ndef wrong():\n```python\nx\n```\n</think>\n\n", "I wonder.\n</think>\n"])
prose = st.lists(st.sampled_from(PROSE), max_size=2).map("\n".join)
words = st.text("abc ,.", min_size=1, max_size=15).map(lambda text: f"So {text}, we see.")
fences = st.sampled_from(
    [("```python", "```"), ("```", "```"), ("~~~py", "~~~"), ("````python", "`````"), ("```Python3", "```")]
)


def syntax(source):
    parsed = parse_source(source)
    assert parsed.tree is not None, parsed.fault
    return ast.dump(parsed.tree)


def without_preamble(problem):
    """The program from the asked function on, as a chat model repeats it."""
    return problem.canonical_program[problem.canonical_program.index(f"def {problem.entry_point}") :]


def forms(problem):
    """Ways to write the canonical program down."""
    ways = [problem.canonical_program, problem.canonical_program.strip() + "\n"]
    if problem.prefix:
        ways += [problem.canonical_solution, problem.canonical_solution.strip(), without_preamble(problem)]
    return ways


@st.composite
def dressed(draw, problems):
    """A problem, and its canonical completion with thinking, prose, fence, demonstration and end mark around it."""
    problem = draw(st.sampled_from(problems))
    code = draw(st.sampled_from(forms(problem)))
    before, after = draw(prose | words), draw(prose | words)
    if draw(st.booleans()):
        opening, closing = draw(fences)
        usage = draw(st.sampled_from(["", "\n\n```python\nprint(1)\n```\n", "\n```\nplain output\n```"]))
        text = f"{before}\n{opening}\n{code}\n{closing}\n{after}{usage}"
    elif draw(st.booleans()):
        text = f"{code}\n```\n{after}"  # the prompt had opened the fence
    else:
        text = f"{before}\n{code}\n\n{after}"
    if draw(st.booleans()) and "```" not in text and "~~~" not in text:
        text = f"{code}\n\n{draw(st.sampled_from(DEMONSTRATIONS))}\n"
    return problem, draw(thinking) + text + draw(st.sampled_from(END))


@settings(max_examples=600, deadline=None)
@given(dressed(LISTED + WORLD))
def test_the_canonical_completion_in_any_dress_is_the_canonical_program(case):
    problem, text = case
    found = extract(problem, text)
    assert found.fault == ""
    assert found.raw == text
    assert syntax(found.source) == syntax(problem.canonical_program)


def read(text, problem=LISTED[0]):
    return extract(problem, text)


BODY = "    return [v // 2 for v in items]\n"
RESULT = PREFIX + BODY


@pytest.mark.parametrize(
    "text",
    [
        BODY,
        "\n\n" + BODY,
        BODY.lstrip(),
        BODY.rstrip() + "\n\n\ndef other():\n    pass\n",
        BODY + "\nclass Other:\n    pass",
        BODY + "# Tests\nprint(halves([1]))\n",
        BODY + "```\n\nThat is it.",
        "```python\n" + BODY + "```",
        "```\n" + BODY,
        "The body:\n\n" + BODY,
        "The body:\n    \n" + BODY,
        "def halves(items: List[int]) -> List[int]:\n" + BODY,
        "```\ndef halves(items: List[int]) -> List[int]:\n" + BODY,
        "First try:\n```python\ndef halves(items):\n    return 1\n```\nBetter:\n```python\n"
        "def halves(items: List[int]) -> List[int]:\n" + BODY + "```\n```python\nprint(halves([2]))\n```",
        "import math\ndef halves(items: List[int]) -> List[int]:\n" + BODY + "\nhalves([1])\n",
        "<think>hm, `def halves(x): return`</think>" + BODY.lstrip(),
        "- so:\n  ```python\n  def halves(items: List[int]) -> List[int]:\n  " + BODY + "  ```\n",
        "```json\n{}\n```\n```py\ndef halves(items: List[int]) -> List[int]:\n" + BODY + "```",
    ],
)
def test_one_body_however_it_is_written(text):
    def undocumented(source):
        tree = ast.parse(source)
        function = tree.body[-1]
        function.body = function.body[-1:]
        return sorted(map(ast.dump, tree.body))  # an import that is repeated stands where it was repeated

    found = read(text)
    assert found.fault == ""
    assert undocumented(found.source) == undocumented(RESULT)
    compile(found.source, "<program>", "exec")


def test_a_body_that_lost_its_indentation_gets_it_back():
    lines = BODIES[1].splitlines()
    first_line_lost = "\n".join([lines[0].lstrip(), *lines[1:]])
    all_lost = "\n".join(line[4:] for line in lines)
    for text in (first_line_lost, f"# Solution\n{first_line_lost}", all_lost, f"{all_lost}\n\nThis is fine."):
        assert syntax(read(text).source) == syntax(PREFIX + BODIES[1])


@pytest.mark.parametrize(
    "cut",
    ["        out.append(", "        if v", "        text = '''abc", "        x = [1,\n          2", "        for"],
)
def test_a_last_statement_that_was_cut_is_dropped(cut):
    kept = "    out = []\n    for v in items:\n        v += 1\n"
    for text in (kept + cut, PREFIX + kept + cut, "```python\n" + PREFIX + kept + cut):
        assert syntax(read(text).source) == syntax(PREFIX + kept)


def test_imports_and_helpers_of_the_prompt_are_put_before_a_program_that_lacks_them():
    found = read("```python\nfrom typing import List\n\ndef halves(items):\n    return items\n```")
    assert found.form == "program"
    assert found.source.count("from typing import List") == 1
    assert found.source.count("def is_even") == 1
    compile(found.source, "<program>", "exec")
    future = read("from __future__ import annotations\ndef halves(items):\n    return items\n")
    assert future.source.startswith("from __future__")
    compile(future.source, "<program>", "exec")


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        ("```\nimport math\n```\n```\ndef f(x):\n    return math.pi\n```", "def f(x):\n    return math.pi\n"),
        ("```\ndef f(x):\n    return 1\n```\nNever:\n```\ndef f(x):\n    return 2\n```", "def f(x):\n    return 2\n"),
        (
            "```\nclass Solution:\n    def f(self, x):\n        return 1\n```",
            "        def f(self, x):\n            return 1\n",
        ),
        ("    return h(x)\n\ndef h(x):\n    return 1\n", "    return h(x)\n\n"),
    ],
)
def test_the_limits_are_those_that_are_written_down(text, ending):
    prompt = 'def f(x):\n    """Doc."""\n'
    found = extract(Problem("T/0", prompt, prompt, "f", "", "", "    return 1\n", "T/0"), text)
    assert found.source.endswith(ending)
    assert found.source in (ending, prompt + ending, f"{prompt}    class Solution:\n{ending}")


@pytest.mark.parametrize(
    "text", [">>> def f(x):\n...     return 1\n", "> ```\n> def f(x):\n>     return 1\n> ```", "\treturn 1"]
)
def test_what_is_not_read_is_written_down_too(text):
    prompt = 'def f(x):\n    """Doc."""\n'
    assert extract(Problem("T/0", prompt, prompt, "f", "", "", "    return 1\n", "T/0"), text).fault


def test_what_the_prompt_has_in_its_body_already_is_no_body():
    prefix = 'def up(x):\n    import math\n    """Round up."""\n'
    problem = Problem("X/0", prefix, prefix, "up", "", "", "    return math.ceil(x)\n", "X/0")
    assert extract(problem, "That is all.").form == "unread"
    assert syntax(extract(problem, "return math.ceil(x)\n```\nSo.").source) == syntax(problem.canonical_program)


def test_a_prompt_without_a_line_end_is_continued_in_its_line():
    problem = Problem("X/0", "def one():\n    return", "def one():\n    return", "one", "", "", " 1\n", "X/0")
    assert syntax(extract(problem, " 1\n\nprint(one())").source) == syntax("def one():\n    return 1")


def test_another_function_than_the_one_asked_for_is_left_for_the_tests_to_miss():
    problem = LISTED[len(BODIES)]
    found = extract(problem, "Sure:\n```python\ndef aria(r):\n    return r\n```")
    assert (found.form, found.fault) == ("program", "")
    assert syntax(found.source) == syntax("def aria(r):\n    return r")


@pytest.mark.parametrize(
    "text", ["", "\n\n", "I cannot help with that.", "```python\n```", "    \n", "<think>and so on", '    """Doc."""\n']
)
@pytest.mark.parametrize("problem", [LISTED[0], LISTED[len(BODIES)]])
def test_where_nothing_can_be_read_the_reason_is_kept(problem, text):
    found = extract(problem, text)
    assert (found.form, found.raw) == ("unread", text)
    assert found.fault


def test_huge_and_binary_completions_have_a_reason_and_keep_their_text():
    for text in ("x" * 10_000_000, BODY + "x = 1\n" * 3_000_000, "    " + "(" * 3_000_000):
        found = read(text)
        assert (found.form, found.raw is text, found.source) == ("unread", True, "")
        assert "more than" in found.fault
    binary = bytes(range(256)).decode("latin-1") * 40
    assert read(binary).form == "unread"
    assert "\x00" in read(binary).source
    # Prose is cheap: a body is read from a long text as long as the body itself is not.
    assert read(BODY + "\nWords and words.\n" * (MAX_CHARACTERS // 4)).fault == ""
    assert len(BODY) < MAX_CHARACTERS < RAW_LIMIT


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=120) | st.text("defhalvs():=\n\t `~<think>/'\"#xr1[]", max_size=120) | st.text("`\n ", max_size=40)
)
def test_any_text_is_read_or_has_a_reason(text):
    for problem in (LISTED[0], LISTED[len(BODIES)]):
        found = extract(problem, text)
        assert found.raw == text
        assert (found.form == "unread") == bool(found.fault)
        if not found.fault:
            assert parse_source(found.source).tree is not None


def real_problems():
    folder = Path(os.environ["POLYMLOPS_DATA"])
    configs = [
        HumanEvalConfig(path=folder / "HumanEval.jsonl.gz"),
        MbppConfig(path=folder / "mbpp.jsonl", split="all"),
        MbppConfig(path=folder / "sanitized-mbpp.json", variant="sanitized", split="all"),
    ]
    return [problem for config in configs for problem in load_suite(config).problems]


@pytest.mark.skipif(
    "POLYMLOPS_DATA" not in os.environ, reason="POLYMLOPS_DATA does not name the folder of the real suites"
)
def test_every_canonical_solution_of_the_real_suites_is_read_as_itself():
    wrong = [
        (problem.task_id, text[:40])
        for problem in real_problems()
        for form in forms(problem)
        for text in (form, f"Sure, here:\n```python\n{form}\n```\nIt's (right.", f"{form}\n\nThis is the end.\n")
        if syntax(extract(problem, text).source) != syntax(problem.canonical_program)
    ]
    assert wrong == []
