"""The sandbox's verdicts beside plain execution: the embedded world's programs always, published suites where they are.

`POLYMLOPS_DATA` names the folder of `HumanEval.jsonl.gz`, `mbpp.jsonl` and `sanitized-mbpp.json`.
"""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mutants import mutants

from polymlops.config.suites import HumanEvalConfig, MbppConfig
from polymlops.data.suites import load_suite
from polymlops.data.world_judge import program_passes
from polymlops.data.world_programs import programs
from polymlops.evaluation.sandbox import Program, SandboxLimits, run_programs

DATA = os.environ.get("POLYMLOPS_DATA")
LIMITS = SandboxLimits(cpu_seconds=2, memory_mib=1024)
needs_data = pytest.mark.skipif(DATA is None, reason="POLYMLOPS_DATA names no folder with the published suites")
SUITES = {
    "humaneval": (lambda: HumanEvalConfig(path=Path(DATA) / "HumanEval.jsonl.gz"), 164),
    "mbpp": (lambda: MbppConfig(path=Path(DATA) / "mbpp.jsonl", split="all"), 974),
    "sanitized": (lambda: MbppConfig(path=Path(DATA) / "sanitized-mbpp.json", variant="sanitized", split="all"), 427),
}


def plainly(chosen):
    """Verdicts of plain execution."""
    script = Path(__file__).with_name("plain_execution.py")
    found = subprocess.run(
        [sys.executable, "-P", "-s", script],
        input=json.dumps([dataclasses.asdict(program) for program in chosen]),
        env={"PYTHONHASHSEED": "0"},  # as in the sandbox: sets of strings have one order
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(found.stdout)


def program_of(problem, source):
    return Program(source, problem.tests, problem.entry_point, problem.setup, helpers=problem.prefix)


def suite(name):
    config, count = SUITES[name]
    problems = load_suite(config()).problems
    assert len(problems) == count
    return problems


def test_worlds_solutions_and_mistakes_have_the_verdict_of_the_worlds_own_judge():
    problems = programs(0, "test")[:40]
    pairs = [(problem, body) for problem in problems for body in (*problem.solutions, *problem.wrong)]
    chosen = [Program(problem.prompt + body, problem.test, problem.entry_point) for problem, body in pairs]
    outcomes = run_programs(chosen, LIMITS)
    assert [outcome.verdict == "passed" for outcome in outcomes] == [program_passes(*pair) for pair in pairs]
    assert not any(outcome.in_one_process for outcome in outcomes)
    assert {outcome.verdict for outcome in outcomes} >= {"passed", "failed"}


def test_mutants_of_the_worlds_solutions_agree_with_plain_execution():
    chosen = []
    for problem in programs(1, "train")[::5]:
        sources = [
            source for body in problem.solutions for source in mutants(problem.prompt + body, problem.entry_point)
        ]
        chosen += [Program(source, problem.test, problem.entry_point) for source in sources]
    chosen = chosen[::3]
    assert len(chosen) >= 100
    assert [outcome.verdict for outcome in run_programs(chosen, LIMITS)] == plainly(chosen)


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize("name", SUITES)
def test_canonical_solutions_pass(name):
    problems = suite(name)
    chosen = [program_of(problem, problem.prefix + problem.canonical_solution) for problem in problems]
    outcomes = run_programs(chosen, SandboxLimits(cpu_seconds=20))  # MBPP/123 takes seconds
    failing = [(problem.task_id, found) for problem, found in zip(problems, outcomes, strict=True) if found.reason]
    assert failing == []
    assert [outcome.verdict for outcome in outcomes] == ["passed"] * len(problems)
    assert not any(outcome.in_one_process for outcome in outcomes)


@needs_data
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("name", "every"), [("humaneval", 6), ("sanitized", 6)])
def test_mutants_agree_with_plain_execution(name, every):
    """At least 99.9 % of the verdicts are the same."""
    pairs = [
        (problem, source)
        for problem in suite(name)
        for source in mutants(problem.prefix + problem.canonical_solution, problem.entry_point)
    ][::every]
    chosen = [program_of(problem, source) for problem, source in pairs]
    ours, plain = [outcome.verdict for outcome in run_programs(chosen, LIMITS)], plainly(chosen)
    different = [
        (problem.task_id, mine, theirs, source)
        for (problem, source), mine, theirs in zip(pairs, ours, plain, strict=True)
        if mine != theirs
    ]
    assert len(chosen) >= 350
    assert len(different) <= 0.001 * len(chosen), different
