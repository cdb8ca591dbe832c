"""Diversity of code beside its peers: `python benchmarks/code_diversity.py HumanEval.jsonl.gz`.

First the distances must agree, then all are timed on the same pairs, on one core; last a whole evaluation, 164 problems
with 200 samples of which 38 % are different, in as many processes as asked for. Samples are mutants of the canonical
solutions. The tables go to RESULTS.md.
"""

from __future__ import annotations

import argparse
import ast
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from side_by_side import HEADER, Peer, Race, machine, one_core, rows_of, write_section

from polymlops.config.suites import FileSuiteConfig
from polymlops.data.suites import Problem, load_suite
from polymlops.evaluation.code_diversity import DiversityRule, ProblemSamples, code_diversities
from polymlops.evaluation.program_trees import ProgramTree, program_tree
from polymlops.evaluation.tree_distance import edit_distance

SAMPLES, DIFFERENT = 200, 76  # 38 % of 200
AGREEING, TIMED = 1_000, 40  # pairs
MINUTES, GIGABYTES = 8, 2  # what a whole evaluation may take
OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Mod, ast.FloorDiv, ast.Lt, ast.Gt, ast.Eq, ast.NotEq, ast.LtE, ast.GtE)
WRAPPERS = ("int", "list", "sorted", "abs", "len", "set", "str", "tuple", "max")


def main() -> None:
    """Compare, time, run everything once, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suite", type=Path, help="a file in HumanEval's schema")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    options = parser.parse_args()
    problems = load_suite(FileSuiteConfig(path=options.suite)).problems
    rng = np.random.default_rng(0)
    sampled = [samples_of(problem, options.samples, rng) for problem in problems]
    agreement = agreement_row(pairs_of(sampled, AGREEING, rng))
    print(agreement, *HEADER, sep="\n", flush=True)
    with one_core():
        rows = list(rows_of(race(pairs_of(sampled, TIMED, rng))))
    whole = list(whole_rows(sampled, options.workers))
    write_section(
        "code_diversity", ["## Diversity of code", "", f"{machine()}.", "", agreement, "", *HEADER, *rows, "", *whole]
    )


def samples_of(problem: Problem, count: int, rng: np.random.Generator) -> ProblemSamples:
    """`count` programs of which 38 % have different trees: mutants of mutants of the canonical one, some often."""
    different = max(2, round(count * DIFFERENT / SAMPLES))
    found = {program_tree(problem.canonical_program): problem.canonical_program}
    while len(found) < different:
        parents = list(found.values())
        source = mutant(parents[int(rng.integers(len(parents)))], rng)
        tree = program_tree(source)
        if tree is not None and len(tree.labels) < 400:
            found.setdefault(tree, source)
    sources = list(found.values())
    weights = 1 / np.arange(1, different + 1)
    again = rng.choice(different, count - different, p=weights / weights.sum())
    chosen = (*sources, *(sources[i] for i in again))
    return ProblemSamples(problem.task_id, chosen, tuple((rng.random(count) < 0.5).tolist()))


def mutant(source: str, rng: np.random.Generator) -> str:
    """The program with one expression wrapped or one operator exchanged, or one statement repeated."""
    tree = ast.parse(source)
    nodes = [
        node for node in ast.walk(tree) if isinstance(node, ast.BinOp | ast.Compare | ast.Return | ast.If | ast.For)
    ]
    if not nodes:
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    match nodes[int(rng.integers(len(nodes)))]:
        case ast.BinOp() as node:
            node.op = OPERATORS[int(rng.integers(5))]()
        case ast.Compare() as node:
            node.ops[0] = OPERATORS[int(rng.integers(5, len(OPERATORS)))]()
        case ast.Return(value=ast.expr()) as node:
            node.value = ast.Call(ast.Name(WRAPPERS[int(rng.integers(len(WRAPPERS)))]), [node.value], [])
        case ast.If() as node:
            node.test = ast.UnaryOp(ast.Not(), node.test)
        case ast.For() | ast.FunctionDef() as node:
            node.body.insert(
                int(rng.integers(len(node.body) + 1)), ast.Assign([ast.Name("x")], ast.Constant(0), lineno=0)
            )
    return ast.unparse(tree)


def pairs_of(
    sampled: Sequence[ProblemSamples], count: int, rng: np.random.Generator
) -> list[tuple[ProgramTree, ProgramTree]]:
    """Random pairs of different programs of one problem."""
    pairs = []
    while len(pairs) < count:
        sources = sampled[int(rng.integers(len(sampled)))].sources
        a, b = (program_tree(sources[int(i)]) for i in rng.integers(0, len(sources), 2))
        if a is not None and b is not None and a != b:
            pairs.append((a, b))
    return pairs


def agreement_row(pairs: Sequence[tuple[ProgramTree, ProgramTree]]) -> str:
    """How many distances equal apted's.

    Raises: AssertionError where one does not.
    """
    theirs = apted(pairs)()
    wrong = sum(edit_distance(a, b) != other for (a, b), other in zip(pairs, theirs, strict=True))
    if wrong:
        raise AssertionError(f"{wrong} of {len(pairs)} distances differ from apted's")
    return f"{len(pairs):,} of {len(pairs):,} distances equal those of apted."


def race(pairs: Sequence[tuple[ProgramTree, ProgramTree]]) -> Race:
    """Distances of the same pairs by us (edist on our trees), apted and zss."""
    nodes = np.mean([len(tree.labels) for pair in pairs for tree in pair])
    peers = [
        Peer(
            name,
            lambda build=build: build(pairs),
            difference=lambda ours, theirs: float(np.abs(np.subtract(ours, theirs)).max()),
        )
        for name, build in (("apted", apted), ("zss", zss))
    ]
    ours: Callable[[], Any] = lambda: [edit_distance(a, b) for a, b in pairs]  # noqa: E731 a race wants a call
    return Race(f"tree edit distance, {len(pairs)} pairs of {nodes:.0f} nodes", ours, peers, rounds=3)


def apted(pairs: Sequence[tuple[ProgramTree, ProgramTree]]) -> Callable[[], list[int]]:
    """The call of PyPI's apted, its trees made beforehand."""
    from apted import APTED
    from apted.helpers import Tree

    def built(tree: ProgramTree, node: int = 0) -> Any:
        return Tree(tree.labels[node], *(built(tree, child) for child in tree.children[node]))

    ready = [(built(a), built(b)) for a, b in pairs]
    return lambda: [int(APTED(a, b).compute_edit_distance()) for a, b in ready]


def zss(pairs: Sequence[tuple[ProgramTree, ProgramTree]]) -> Callable[[], list[int]]:
    """The call of PyPI's zss, its trees made beforehand."""
    from zss import Node, distance

    def built(tree: ProgramTree, node: int = 0) -> Any:
        return Node(tree.labels[node], [built(tree, child) for child in tree.children[node]])

    ready = [(built(a), built(b)) for a, b in pairs]
    unit = {"insert_cost": lambda node: 1, "remove_cost": lambda node: 1}
    costs = unit | {"get_children": Node.get_children, "update_cost": lambda a, b: int(a.label != b.label)}
    return lambda: [int(distance(a, b, **costs)) for a, b in ready]


def whole_rows(sampled: Sequence[ProblemSamples], workers: int) -> Iterator[str]:
    """Both readings of all problems: minutes on the clock, and the most memory that the processes can have held."""
    count = sum(len(problem.sources) for problem in sampled)
    yield f"| reading | programs | different | pairs | minutes, {workers} processes | target | peak, MB | target |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for reading in ("canonical", "kept"):
        start = time.perf_counter()
        found = code_diversities(sampled, DiversityRule(reading=reading), workers)
        minutes = (time.perf_counter() - start) / 60
        used = sum(
            share * resource.getrusage(who).ru_maxrss / 1024
            for who, share in ((resource.RUSAGE_SELF, 1), (resource.RUSAGE_CHILDREN, workers if workers > 1 else 0))
        )
        different = sum(problem.unique for problem in found)
        pairs = sum(problem.unique * (problem.unique - 1) // 2 for problem in found)
        yield (
            f"| {reading} | {count:,} | {different / count:.0%} | {pairs:,} | {minutes:.2f} | "
            f"{MINUTES}, {'met' if minutes < MINUTES else '**missed**'} | {used:,.0f} | "
            f"{1024 * GIGABYTES:,}, {'met' if used < 1024 * GIGABYTES else '**missed**'} |"
        )


if __name__ == "__main__":
    main()
