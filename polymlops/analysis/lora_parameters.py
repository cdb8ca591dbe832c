"""What a LoRA adapter does to each weight, and how two adapters differ: norms, spectra, ranks, directions, by layer.

Everything comes from the factors (see `lora_factors`), exact to rounding; with the base model's folder also the norm
relative to W and intruder dimensions. This says what moved. What that does to the answers is in `lora_ablation`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from polymlops.analysis.lora_adapters import Adapter, AdapterState, LoraModule, Place, Resolver, open_adapter
from polymlops.analysis.lora_base_weights import BaseWeights, open_base
from polymlops.analysis.lora_changes import DENSE_LIMIT, change_of, check_dense
from polymlops.analysis.lora_comparison import AdapterComparison, Row, compare_opened
from polymlops.analysis.lora_factors import decompose, effective_rank, energy_rank, stable_rank
from polymlops.analysis.lora_intruders import Intruders, IntruderSettings, find_intruders
from polymlops.errors import InputError


@dataclass(frozen=True, slots=True)
class ModuleAnalysis:
    """One adapted weight. Norms are Frobenius, in the weights' own units.

    `norm_delta` is of Delta W, scaling included; `relative_norm` is ||Delta W|| / ||W||, NaN without the base.
    `singular_values` of Delta W descend; `rank` is nominal, `numerical_rank` what is left above rounding.
    `effective_rank` and `stable_rank` are NaN where Delta W is 0. `energy_rank` keeps 99 % of the squared norm.
    """

    path: str
    place: Place
    shape: tuple[int, int]
    rank: int
    alpha: float
    scaling: float
    norm_a: float
    norm_b: float
    norm_delta: float
    norm_base: float
    relative_norm: float
    singular_values: tuple[float, ...]
    numerical_rank: int
    effective_rank: float
    stable_rank: float
    energy_rank: int
    intruders: Intruders | None

    def row(self) -> Row:
        """One flat row of a table; the spectrum is left to figures."""
        scalars = ("rank", "alpha", "scaling", "norm_a", "norm_b", "norm_delta", "norm_base", "relative_norm")
        ranks = ("numerical_rank", "effective_rank", "stable_rank", "energy_rank")
        return {
            "path": self.path,
            "stack": self.place.stack,
            "layer": self.place.layer,
            "module": self.place.module,
            "out": self.shape[0],
            "in": self.shape[1],
            **{name: getattr(self, name) for name in (*scalars, *ranks)},
            "sigma_1": self.singular_values[0],
            "intruders": math.nan if self.intruders is None else self.intruders.count,
        }


@dataclass(frozen=True, slots=True)
class AdapterAnalysis:
    """All modules of an adapter, by stack, layer and name.

    `untrained` counts those whose Delta W is 0; `others` names what the adapter changes besides and is not analysed
    (biases, `modules_to_save`).
    """

    name: str
    dora: bool
    modules: tuple[ModuleAnalysis, ...]
    untrained: int
    others: tuple[str, ...]

    def rows(self) -> list[Row]:
        """One row a module."""
        return [module.row() for module in self.modules]

    def energy_by_layer(self) -> dict[int, float]:
        """Share of the adapter's squared norm in each layer; modules outside a stack belong to none. NaN if all are 0.

        It says which layers moved, not which ones matter.
        """
        total = math.fsum(module.norm_delta**2 for module in self.modules)
        shares: dict[int, float] = defaultdict(float)
        for module in self.modules:
            if module.place.layer is not None:
                shares[module.place.layer] += module.norm_delta**2 / total if total > 0 else math.nan
        return dict(sorted(shares.items()))


def analyze_adapter(
    path_or_state: Path | str | AdapterState,
    base: Path | None = None,
    resolve: Resolver | None = None,
    intruders: IntruderSettings | None = None,
    dense_limit: int = DENSE_LIMIT,
) -> AdapterAnalysis:
    """Analyse a PEFT LoRA adapter, module by module.

    Args:
        path_or_state: its folder; a hub id or registry URI that `resolve` makes a folder of; or its tensors.
        base: folder of the base model; gives relative norms, and is required for DoRA.
        resolve: from a name to a folder; by default the hub's download.
        intruders: count intruder dimensions too; needs the base, and a dense decomposition of every weight.
        dense_limit: smaller side up to which a dense decomposition may start (DoRA, intruders).

    Raises:
        InputError: no readable LoRA adapter; a base that is missing, does not fit, or is not the one adapted; a
            matrix above the dense limit.
    """
    adapter = open_adapter(path_or_state, resolve)
    weights = open_weights(adapter, base)
    if intruders is not None and weights is None:
        raise InputError(f"{adapter.name}: intruder dimensions compare with the base weights; give the base's folder")
    if intruders is not None:
        for module in adapter.modules:
            check_dense(module, dense_limit)
    modules = tuple(_analyse(adapter, module, weights, intruders, dense_limit) for module in adapter.modules)
    untrained = sum(module.norm_delta == 0 for module in modules)
    return AdapterAnalysis(adapter.name, adapter.dora, modules, untrained, adapter.others)


def compare_adapters(
    a: Path | str | AdapterState,
    b: Path | str | AdapterState,
    base: Path | None = None,
    resolve: Resolver | None = None,
    dense_limit: int = DENSE_LIMIT,
) -> AdapterComparison:
    """Compare Delta W of two adapters of one base, module by module: two arms, or SFT (a) and GRPO (b).

    Raises: InputError as in `analyze_adapter`; where no module is in both; where shapes differ.
    """
    first, second = open_adapter(a, resolve), open_adapter(b, resolve)
    return compare_opened(first, second, open_weights(first, base), open_weights(second, base), dense_limit)


def open_weights(adapter: Adapter, base: Path | None) -> BaseWeights | None:
    """The base's weights where a folder is given. Raises InputError where they are not what the adapter changes."""
    if base is None:
        return None
    if adapter.base_differs:
        raise InputError(f"{adapter.name}: {adapter.base_differs}; analyse without a base, or convert it to plain LoRA")
    return open_base(base)


def _analyse(
    adapter: Adapter, module: LoraModule, base: BaseWeights | None, intruders: IntruderSettings | None, dense_limit: int
) -> ModuleAnalysis:
    change = change_of(adapter, module, base, dense_limit)
    values = decompose(change).values
    weight = None if base is None else base.read(module)
    norm_base = math.nan if weight is None else float(np.linalg.norm(weight))
    norm_delta = float(np.linalg.norm(values))
    return ModuleAnalysis(
        path=module.path,
        place=module.place,
        shape=module.shape,
        rank=module.rank,
        alpha=module.alpha,
        scaling=module.scaling,
        norm_a=float(np.linalg.norm(module.read_a())),
        norm_b=float(np.linalg.norm(module.read_b())),
        norm_delta=norm_delta,
        norm_base=norm_base,
        relative_norm=norm_delta / norm_base if norm_base > 0 else math.nan,
        singular_values=tuple(float(value) for value in values),
        numerical_rank=int((values > 0).sum()),
        effective_rank=effective_rank(values),
        stable_rank=stable_rank(values),
        energy_rank=energy_rank(values),
        intruders=find_intruders(weight, change, intruders) if weight is not None and intruders is not None else None,
    )
