"""What the analysis over domains takes and says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from polymlops.config.sampling import SamplingConfig
from polymlops.metrics.arrays import Floats
from polymlops.records import Estimate

# kept        home and here the arm is more diverse than the base, and both intervals exclude 0
# lost        more diverse at home, less diverse here, and both intervals exclude 0
# not shown   more diverse at home; here the interval holds 0
# no gain     the arm is not shown to be more diverse at home
Fate = Literal["kept", "lost", "not shown", "no gain"]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DomainScores:
    """One arm and seed in one domain: `values[metric]` is (P,), in the order of the prompts, NaN where undefined.

    `n` counts the candidates a prompt; `sampling` is how they were drawn.
    """

    domain: str
    arm: str
    seed: int
    n: int
    sampling: SamplingConfig
    prompts: tuple[str, ...]
    values: Mapping[str, Floats]

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"{self.domain}: {self.arm}/{self.seed}"


@dataclass(frozen=True, slots=True)
class Cell:
    """Mean of a metric of one arm in one domain, over seeds and the prompts where it is defined."""

    domain: str
    arm: str
    metric: str
    estimate: Estimate
    undefined: int
    seeds: int


@dataclass(frozen=True, slots=True)
class Gain:
    """`arm` minus `base` on the same prompts; `home` where the arm was trained on this domain.

    `p` is of sign flips over prompts, seeds averaged; `p_holm` adjusts it over all domains and metrics of the arm.
    """

    domain: str
    arm: str
    base: str
    metric: str
    home: bool
    difference: Estimate
    p: float
    p_holm: float
    distinguishable: bool


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """Spearman's correlation over arms between two domains, of one metric or of what stands for it in each.

    The interval is of prompts and seeds drawn anew; it says nothing about other arms. NaN below three arms.
    """

    metric: str
    first: str
    second: str
    rho: Estimate
    arms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Retention:
    """What became elsewhere of the diversity that an arm gained at home.

    Gains are differences to the base. `share` is the relative gain here over the relative gain at home: 1 where both
    domains gained the same percentage; NaN unless there is a gain at home.
    """

    arm: str
    domain: str
    gain_home: Estimate
    gain_here: Estimate
    share: Estimate
    fate: Fate


@dataclass(frozen=True, slots=True)
class CrossDomainReport:
    """The four tables, and what a reader must know beside them."""

    cells: tuple[Cell, ...]
    gains: tuple[Gain, ...]
    correlations: tuple[RankCorrelation, ...]
    retentions: tuple[Retention, ...]
    notes: tuple[str, ...]

    def rows(self) -> list[Row]:
        """Domains x metrics x arms, a row each: value, low, high, n, and the count of undefined prompts."""
        return [_flat(item, "estimate") for item in self.cells]

    def gain_rows(self) -> list[Row]:
        """A row a gain; `value`, `low`, `high` and `n` are the difference's."""
        return [_flat(item, "difference") for item in self.gains]

    def correlation_rows(self) -> list[Row]:
        """A row a pair of domains and metric; `value`, `low`, `high` are rho's, and arms a list by commas."""
        return [_flat(item, "rho") | {"arms": ",".join(item.arms)} for item in self.correlations]

    def retention_rows(self) -> list[Row]:
        """A row an arm and domain; the share's value and ends, and both gains by name."""
        return [
            {"arm": item.arm, "domain": item.domain, "fate": item.fate}
            | _prefixed("gain_home", item.gain_home)
            | _prefixed("gain_here", item.gain_here)
            | _prefixed("share", item.share)
            for item in self.retentions
        ]


def _flat(item: Any, estimate: str) -> Row:
    row = {name: getattr(item, name) for name in item.__slots__ if name != estimate}
    return row | asdict(getattr(item, estimate))


def _prefixed(name: str, estimate: Estimate) -> Row:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
