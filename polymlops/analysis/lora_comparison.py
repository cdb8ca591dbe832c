"""Two adapters of one base, weight by weight: direction, size of the step between them, shared subspaces."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from polymlops.analysis.lora_adapters import Adapter, LoraModule, Place
from polymlops.analysis.lora_base_weights import BaseWeights
from polymlops.analysis.lora_changes import change_of
from polymlops.analysis.lora_factors import cosine, decompose, difference, subspace_overlap
from polymlops.errors import InputError

Row = dict[str, float | int | str | None]


@dataclass(frozen=True, slots=True)
class ModuleComparison:
    """Delta W of one weight in adapters a and b.

    `cosine` in [-1, 1] and `relative_step` = ||b - a|| / ||a|| are NaN where an adapter did not move the weight.
    The overlaps, in [0, 1], are of the output (left) and input (right) spaces of the leading min(r, numerical rank)
    directions; `left_chance` and `right_chance` are what random spaces of those dimensions have on average. Arms that
    were trained with one seed start from the same random A: their right overlap is high before anything is learned.
    """

    path: str
    place: Place
    norm_a: float
    norm_b: float
    cosine: float
    relative_step: float
    left_overlap: float
    left_chance: float
    right_overlap: float
    right_chance: float

    def row(self) -> Row:
        """One flat row of a table."""
        names = ("norm_a", "norm_b", "cosine", "relative_step")
        overlaps = ("left_overlap", "left_chance", "right_overlap", "right_chance")
        return {
            "path": self.path,
            "stack": self.place.stack,
            "layer": self.place.layer,
            "module": self.place.module,
            **{name: getattr(self, name) for name in (*names, *overlaps)},
        }


@dataclass(frozen=True, slots=True)
class AdapterComparison:
    """The modules that both adapters change, and the paths that only one of them does."""

    a: str
    b: str
    modules: tuple[ModuleComparison, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]

    def rows(self) -> list[Row]:
        """One row a module."""
        return [module.row() for module in self.modules]


def compare_opened(
    a: Adapter, b: Adapter, base_a: BaseWeights | None, base_b: BaseWeights | None, dense_limit: int
) -> AdapterComparison:
    """Compare two opened adapters; see `lora_parameters.compare_adapters`."""
    of_a, of_b = ({module.path: module for module in adapter.modules} for adapter in (a, b))
    shared = [path for path in of_a if path in of_b]
    if not shared:
        raise InputError(f"{a.name} and {b.name} change no weight in common: they are adapters of different models")
    modules = []
    for path in shared:
        if of_a[path].shape != of_b[path].shape:
            raise InputError(f"{path} is {of_a[path].shape} in {a.name} and {of_b[path].shape} in {b.name}")
        modules.append(_compare((a, of_a[path], base_a), (b, of_b[path], base_b), dense_limit))
    only_a, only_b = (tuple(p for p in mine if p not in other) for mine, other in ((of_a, of_b), (of_b, of_a)))
    return AdapterComparison(a.name, b.name, tuple(modules), only_a, only_b)


Side = tuple[Adapter, LoraModule, BaseWeights | None]


def _compare(a: Side, b: Side, dense_limit: int) -> ModuleComparison:
    change_a, change_b = change_of(*a, dense_limit), change_of(*b, dense_limit)
    parts_a, parts_b = decompose(change_a), decompose(change_b)
    norm_a, norm_b = float(np.linalg.norm(parts_a.values)), float(np.linalg.norm(parts_b.values))
    step = float(np.linalg.norm(decompose(difference(change_b, change_a)).values))
    rank_a, rank_b = min(a[1].rank, parts_a.rank), min(b[1].rank, parts_b.rank)
    chance = [max(rank_a, rank_b) / side if rank_a and rank_b else math.nan for side in change_a.shape]
    return ModuleComparison(
        path=a[1].path,
        place=a[1].place,
        norm_a=norm_a,
        norm_b=norm_b,
        cosine=cosine(change_a, change_b),
        relative_step=step / norm_a if norm_a > 0 else math.nan,
        left_overlap=subspace_overlap(parts_a.left[:, :rank_a], parts_b.left[:, :rank_b]),
        left_chance=chance[0],
        right_overlap=subspace_overlap(parts_a.right[:, :rank_a], parts_b.right[:, :rank_b]),
        right_chance=chance[1],
    )
