"""The embedded world's tiny programs as a suite of three splits that share no family parameter."""

from __future__ import annotations

from polymlops.config.suites import WorldSplit
from polymlops.data.suite_problems import Problem
from polymlops.data.world_program_families import FAMILIES, Family
from polymlops.data.world_programs import programs, split_parameters
from polymlops.errors import InputError

VALIDATION_STEPS = (0, 3)  # two of a family's seven training parameters are for validation


def world_parameters(family: Family, split: WorldSplit) -> tuple[str, ...]:
    """The family's parameters of one split, whatever the seed: 5 for training, 2 for validation, 3 for testing."""
    if split == "test":
        return split_parameters(family, "test")
    outside = split_parameters(family, "train")
    shift = FAMILIES.index(family)
    held = {outside[(shift + step) % len(outside)] for step in VALIDATION_STEPS}
    return tuple(k for k in outside if (k in held) == (split == "validation"))


def world_problems(seed: int, count: int | None, split: WorldSplit) -> tuple[Problem, ...]:
    """The first `count` problems of a split, all for None, in an order and with examples and tests drawn by seed.

    Test problems occur in no pretraining corpus; training and validation problems may.

    Raises: InputError where the split has fewer.
    """
    allowed = {(family.name, k) for family in FAMILIES for k in world_parameters(family, split)}
    problems = []
    for found in programs(seed, "test" if split == "test" else "train"):
        _, family, parameter = found.task_id.split("/")
        if (family, parameter) in allowed:
            problems.append(
                Problem(
                    *(found.task_id, found.prompt, found.prompt, found.entry_point, found.test, ""),
                    *(found.canonical_solution, family, split),
                )
            )
    if count is not None and count > len(problems):
        raise InputError(f"{count} problems wanted, but the world's {split} split has {len(problems)}: lower count")
    return tuple(problems[:count])
