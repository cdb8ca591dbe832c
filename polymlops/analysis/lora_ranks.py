"""Advice on the rank: the smallest that keeps 99 % of the energy of what was learned.

Energy is the squared Frobenius norm of Delta W. It bounds how far weights move when an adapter is truncated, not what
that does to its answers: sample again before a smaller rank is adopted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from polymlops.analysis.lora_comparison import Row
from polymlops.analysis.lora_factors import ENERGY, energy_rank
from polymlops.analysis.lora_parameters import AdapterAnalysis


@dataclass(frozen=True, slots=True)
class RankAdvice:
    """Ranks that keep a share `energy` of the squared norm.

    `by_module` has the rank of each weight that moved, in the form of PEFT's `rank_pattern`. One rank for all:
    `every_module` keeps the share in each of them, `whole_adapter` of the sum over them; 0 where nothing moved.
    `trained` is the largest rank that was trained, `parameters_kept` the share of parameters left by `by_module`.
    """

    energy: float
    by_module: Mapping[str, int]
    every_module: int
    whole_adapter: int
    trained: int
    parameters_kept: float
    untrained: int

    @property
    def sentence(self) -> str:
        """The advice in words."""
        if not self.by_module:
            return "No weight moved: there is no rank to advise."
        idle = f" {self.untrained} weights did not move at all." if self.untrained else ""
        return (
            f"Rank {self.every_module} keeps {self.energy:.0%} of the energy of every weight and rank "
            f"{self.whole_adapter} that of the adapter as a whole; {self.trained} was trained.{idle}"
        )

    def rows(self) -> list[Row]:
        """One row a weight that moved."""
        return [{"path": path, "rank": rank} for path, rank in self.by_module.items()]


def advise_rank(analysis: AdapterAnalysis, energy: float = ENERGY) -> RankAdvice:
    """The smallest ranks that keep this share of the energy.

    Raises: MetricError for an energy outside (0, 1].
    """
    moved = [module for module in analysis.modules if module.norm_delta > 0]
    ranks = {module.path: energy_rank(np.array(module.singular_values), energy) for module in moved}
    longest = max((len(module.singular_values) for module in moved), default=0)
    # Energy of the adapter by rank: what truncating every weight to that rank adds.
    added = np.zeros(longest)
    for module in moved:
        added[: len(module.singular_values)] += np.square(module.singular_values)
    size = {module.path: sum(module.shape) for module in analysis.modules}
    trained = sum(size[module.path] * module.rank for module in analysis.modules)
    return RankAdvice(
        energy=energy,
        by_module=ranks,
        every_module=max(ranks.values(), default=0),
        # Square roots, because energy_rank squares; the sums descend as each spectrum does.
        whole_adapter=energy_rank(np.sqrt(added), energy),
        trained=max(module.rank for module in analysis.modules),
        parameters_kept=sum(size[path] * rank for path, rank in ranks.items()) / trained,
        untrained=analysis.untrained,
    )
