"""The set-objective engine beside plain Python over itertools.combinations: `python benchmarks/set_objectives.py`.

Both sides get the same groups in one process on one core, and must agree before they are timed. A second table times
the engine alone on 10,000 groups. The tables go to RESULTS.md.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from side_by_side import HEADER, Peer, Race, machine, one_core, rows_of, seconds, write_section

from polymlops.training.set_objectives import Baseline, SetObjective, advantages

Case = tuple[SetObjective, str | None]

SAMPLES, K = 8, 4
RACE_GROUPS, MANY_GROUPS, LIMIT = 200, 10_000, 1.0
BASELINES: tuple[Baseline, ...] = ("mean", "loo", "marginal")
# Objective and the kind of diversity that it reads.
CASES: tuple[Case, ...] = (
    ("mean", None),
    ("max", None),
    ("selected", None),
    ("polychromic", "distances"),
    ("polychromic", "labels"),
    ("diversity", "distances"),
    ("diversity", "labels"),
    ("coverage", "labels"),
)

Group = dict[str, Any]


def main() -> None:
    """Run all races, time the engine on many groups, and write the tables."""
    print(*HEADER, sep="\n")
    with one_core():
        rows = [row for case in CASES for baseline in BASELINES for row in rows_of(race(case, baseline))]
        many = list(many_rows())
    print(*many, sep="\n")
    title = [
        "## Set objectives",
        "",
        f"{machine()}. Groups of {SAMPLES}, sets of {K}, a tenth of the samples junk.",
        "",
    ]
    write_section("set_objectives", [*title, *HEADER, *rows, "", *many])


def race(case: Case, baseline: Baseline) -> Race:
    """One objective and baseline, on the same groups as arrays and as lists."""
    arrays = batch(RACE_GROUPS)
    groups = [{name: values[g].tolist() for name, values in arrays.items()} for g in range(RACE_GROUPS)]
    function = partial(set_value, *case)

    def itertools_loop() -> Callable[[], Any]:
        return lambda: [enumerated(partial(function, group), baseline) for group in groups]

    name = case[0] if case[1] is None else f"{case[0]} ({case[1]})"
    return Race(
        f"{name}, {baseline}, {RACE_GROUPS} groups",
        partial(engine, arrays, case, baseline),
        [Peer("itertools", itertools_loop)],
        rounds=3,
    )


def batch(groups: int) -> dict[str, Any]:
    """Random groups; rewards for `coverage` are whether a sample passed."""
    rng = np.random.default_rng(0)
    shape = (groups, SAMPLES)
    distances_GKK = rng.uniform(size=(*shape, SAMPLES))
    return {
        "rewards": rng.uniform(size=shape),
        "passed": rng.random(shape) < 0.5,
        "selector": rng.integers(0, 5, shape).astype(float),
        "distances": (distances_GKK + distances_GKK.transpose(0, 2, 1)) / 2,
        "labels": rng.integers(0, 4, shape),
        "valid": rng.random(shape) < 0.9,
    }


def engine(arrays: dict[str, Any], case: Case, baseline: Baseline) -> Any:
    """Our call."""
    objective, kind = case
    return advantages(
        arrays["passed" if objective == "coverage" else "rewards"],
        objective,
        K,
        baseline,
        diversity=None if kind is None else arrays[kind],
        selector_GK=arrays["selector"],
        valid_GK=arrays["valid"],
    )


def enumerated(value: Callable[[Sequence[int]], float], baseline: Baseline) -> list[float]:
    """The advantages of one group by their definition: each set's value once, then means over sets."""
    sets = {members: value(members) for members in itertools.combinations(range(SAMPLES), K)}
    smaller = {}
    if baseline == "marginal":
        smaller = {members: value(members) for members in itertools.combinations(range(SAMPLES), K - 1)}
    mean_of_all = statistics.fmean(sets.values())
    result = []
    for i in range(SAMPLES):
        containing = statistics.fmean(v for members, v in sets.items() if i in members)
        if baseline == "mean":
            result.append(containing - mean_of_all)
        elif baseline == "loo":
            result.append(containing - statistics.fmean(v for members, v in sets.items() if i not in members))
        else:
            result.append(containing - statistics.fmean(v for members, v in smaller.items() if i not in members))
    return result


def set_value(objective: SetObjective, kind: str | None, group: Group, members: Sequence[int]) -> float:
    """f(S) by its definition."""
    rewards = group["rewards"]
    if objective == "mean":
        return sum(rewards[i] for i in members) / len(members)
    if objective == "max":
        return max(rewards[i] for i in members)
    if objective == "selected":
        best = max(group["selector"][i] for i in members)
        return statistics.fmean(rewards[i] for i in members if group["selector"][i] == best)
    if objective == "coverage":
        return float(len({group["labels"][i] for i in members if group["valid"][i] and group["passed"][i]}))
    diversity = set_diversity(kind, group, [i for i in members if group["valid"][i]])
    return diversity if objective == "diversity" else diversity * sum(rewards[i] for i in members) / len(members)


def set_diversity(kind: str | None, group: Group, valid: Sequence[int]) -> float:
    """d(S) by its definition, from the valid members."""
    if len(valid) < 2:
        return 0.0
    if kind == "labels":
        return len({group["labels"][i] for i in valid}) / len(valid)
    pairs = list(itertools.combinations(valid, 2))
    return sum(group["distances"][i][j] for i, j in pairs) / len(pairs)


def many_rows() -> Iterator[str]:
    """Milliseconds of the engine on many groups, each against the limit."""
    arrays = batch(MANY_GROUPS)
    yield f"Milliseconds for {MANY_GROUPS:,} groups (limit: {1e3 * LIMIT:,.0f}):"
    yield ""
    yield "| objective | " + " | ".join(BASELINES) + " | limit |"
    yield "|---|" + "---:|" * len(BASELINES) + "---|"
    for case in CASES:
        times = [
            statistics.median(seconds(partial(engine, arrays, case, baseline)) for _ in range(5))
            for baseline in BASELINES
        ]
        name = case[0] if case[1] is None else f"{case[0]} ({case[1]})"
        cells = " | ".join(f"{1e3 * t:.3g}" for t in times)
        yield f"| {name} | {cells} | {'met' if max(times) < LIMIT else '**missed**'} |"


if __name__ == "__main__":
    main()
