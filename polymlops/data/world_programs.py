"""Tiny programming problems of the embedded world in HumanEval's format, with several right ways and some wrong ones.

Which parameters of a family belong to the test split is fixed, whatever the seed, so that no seed of a pretraining
corpus can leak a test problem of another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from polymlops.data.world_language import pick
from polymlops.data.world_program_families import ARGUMENT, FAMILIES, LETTERS, NUMBERS, Family

Split = Literal["train", "test"]
WEB_WRONG = 0.2  # share of the programs on the world's web that are subtly wrong
WORDS = ("reads", "tide", "noodle", "island", "rest", "salt")
LONGEST_EXAMPLE = 24  # characters of the answer that a docstring shows


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem; `canonical_solution`, `solutions` and `wrong` are function bodies that follow the prompt."""

    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str
    test: str
    solutions: tuple[str, ...]
    wrong: tuple[str, ...]


def split_parameters(family: Family, split: Split) -> tuple[str, ...]:
    """The family's parameters of one split: three of ten are for testing, and which ones differs between families."""
    shift = FAMILIES.index(family)
    held = {family.parameters[(shift + step) % len(family.parameters)] for step in (0, 3, 7)}
    return tuple(k for k in family.parameters if (k in held) == (split == "test"))


def _arguments(family: Family, parameter: str, rng: np.random.Generator) -> list[Any]:
    """Arguments that tell right from wrong, borders around the parameter among them; the first two are short."""
    if family.kind == "text":
        short = parameter * 2 if parameter in LETTERS else "no"
        mixed = "".join(pick(rng, LETTERS) for _ in range(14))
        return [short, pick(rng, WORDS), "", "lend a saddle to its riders", mixed]
    k = int(parameter)
    if family.kind == "number":
        return [k + 1, int(rng.integers(12, 30)), 0, k, k - 1, -k, 2 * k, -int(rng.integers(1, 9))]
    drawn = [rng.integers(-3, 15, size).tolist() for size in (1, 4, 13)]
    return [[k - 1, k, k + 1], [2 * k, 1, k, 3], [], [-k, 3 * k, 2], *drawn]


def _check(family: Family, parameter: str, arguments: list[Any]) -> str:
    k: int | str = int(parameter) if parameter in NUMBERS else parameter
    lines = [f"    assert candidate({argument!r}) == {family.reference(k, argument)!r}" for argument in arguments]
    return "\n".join(["def check(candidate):", *lines]) + "\n"


def build_problem(family: Family, parameter: str, rng: np.random.Generator) -> Problem:
    """The problem of a family with one parameter; the doctest example and some test arguments are drawn."""
    k: int | str = int(parameter) if parameter in NUMBERS else parameter
    arguments = _arguments(family, parameter, rng)
    answers = {repr(argument): repr(family.reference(k, argument)) for argument in arguments[:2]}
    example, answer = pick(rng, [pair for pair in answers.items() if len(pair[1]) <= LONGEST_EXAMPLE])
    prompt = (
        f"def {family.name}({ARGUMENT[family.kind]}):\n"
        f'    """{family.summary.format(k=parameter)}\n\n'
        f"    >>> {family.name}({example})\n    {answer}\n"
        f'    """\n'
    )
    right, wrong = (
        tuple("".join(f"    {line}\n" for line in body.format(k=parameter).split("\n")) for body in bodies)
        for bodies in (family.right, family.wrong)
    )
    task_id = f"World/{family.name}/{parameter}"
    return Problem(task_id, prompt, family.name, right[0], _check(family, parameter, arguments), right, wrong)


def programs(seed: int, split: Split) -> list[Problem]:
    """Every problem of a split, in an order and with examples and test arguments drawn by seed."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 4]))
    problems = [build_problem(family, k, rng) for family in FAMILIES for k in split_parameters(family, split)]
    return [problems[int(index)] for index in rng.permutation(len(problems))]


def program_documents(rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Endless (prompt, body) pairs of a mediocre web, from training parameters only; one in five is wrong."""
    while True:
        family = pick(rng, FAMILIES)
        problem = build_problem(family, pick(rng, split_parameters(family, "train")), rng)
        bodies = problem.wrong if rng.random() < WEB_WRONG else problem.solutions
        yield problem.prompt, pick(rng, bodies).rstrip("\n")
