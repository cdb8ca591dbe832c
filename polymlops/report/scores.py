"""The scores of one arm and seed as arrays, and the metrics that they give for each prompt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polymlops.errors import ArtifactError, MetricError
from polymlops.metrics.arrays import Floats
from polymlops.metrics.pass_at_k import max_at_k, pass_at_k
from polymlops.metrics.semantic import distinct_at_k
from polymlops.metrics.user_selection import usq_at_k

# Candidates among which distinct intents are counted, where there are as many.
SHOWN = 10
LOWER_IS_BETTER = frozenset(
    {
        *("self_bleu", "pairwise_bleu", "self_repetition", "pairwise_rouge_l", "compression_ratio"),
        *("perplexity", "repetition", "truncated", "duplicate_share"),
    }
)
# Columns of diversity.parquet that are no metric, or that are computed here from the candidates themselves.
NOT_DIVERSITY = frozenset({"arm", "seed", "domain", "prompt_id", "distinct_intents"})
NAMED = 5
SELECTOR = "selector_"


@dataclass(frozen=True, slots=True)
class ArmScores:
    """Scores of n candidates for each of P prompts, which are in the order of their ids.

    `intents_PK` is "" where a candidate has no intent. `diversity` holds one value a prompt for each metric, NaN where
    it has no meaning. `selectors_PK` are what could rank candidates without the truth, by name.
    """

    arm: str
    seed: int
    prompts: tuple[str, ...]
    passed_PK: NDArray[np.bool_]
    quality_PK: Floats
    intents_PK: NDArray[np.str_]
    well_formed_PK: NDArray[np.bool_]
    diversity: Mapping[str, Floats]
    selectors_PK: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Candidates a prompt."""
        return self.passed_PK.shape[1]

    @property
    def label(self) -> str:
        """How the arm and seed are called in messages and mappings."""
        return f"{self.arm}/{self.seed}"


def read_scores(label: str, folder: Path) -> ArmScores:
    """Read the scores that a mapping calls "arm/seed" from scores.parquet and diversity.parquet.

    Raises: ArtifactError where a file is missing or belongs to another arm; MetricError where prompts differ in their
    number of candidates, or a candidate is unscored.
    """
    rows = _read(folder / "scores.parquet", label).sort("prompt_id", "sample_id")
    found = {f"{arm}/{seed}" for arm, seed in rows.select("arm", "seed").unique().iter_rows()}
    if found != {label}:
        raise ArtifactError(f"the scores under {label} are of {', '.join(sorted(found)) or 'nothing'}: score it again")
    sizes = rows.group_by("prompt_id").len().sort("prompt_id")
    n = int(sizes["len"].max())  # type: ignore[arg-type]  # a length is a number
    _refuse(sizes.filter(pl.col("len") < n)["prompt_id"], f"{label}: fewer than {n} candidates for")
    unscored = rows.filter(pl.any_horizontal(pl.col("passed", "quality", "well_formed").is_null()))
    _refuse(unscored["prompt_id"].unique(), f"{label}: a candidate without a score for")
    arm, _, seed = label.rpartition("/")
    prompts = tuple(sizes["prompt_id"])
    return ArmScores(
        arm,
        int(seed),
        prompts,
        rows["passed"].to_numpy().reshape(-1, n),
        rows["quality"].to_numpy().astype(np.float64).reshape(-1, n),
        rows["intent"].fill_null("").to_numpy().astype(np.str_).reshape(-1, n),
        rows["well_formed"].to_numpy().reshape(-1, n),
        _read_diversity(folder, label, prompts),
        {
            name.removeprefix(SELECTOR): rows[name].to_numpy().reshape(-1, n)
            for name in rows.columns
            if name.startswith(SELECTOR)
        },
    )


def check_comparable(scores: Sequence[ArmScores]) -> None:
    """Raise MetricError, with the prompts named, unless all arms answer the same prompts with as many candidates."""
    reference = scores[0]
    for other in scores[1:]:
        pair = f"{other.label} and {reference.label} cannot be compared"
        if other.n != reference.n:
            raise MetricError(f"{pair}: {other.n} and {reference.n} candidates a prompt")
        _refuse(set(other.prompts) ^ set(reference.prompts), f"{pair}: only one of them answers")
        if set(other.diversity) != set(reference.diversity):
            odd = sorted(set(other.diversity) ^ set(reference.diversity))
            raise MetricError(f"{pair}: only one of them has {', '.join(odd)}; score both again")


def metrics_by_prompt(scores: ArmScores, ks: Iterable[int]) -> dict[str, Floats]:
    """Every metric of the table, name -> one value a prompt (P,), NaN where it is undefined."""
    shown = min(SHOWN, scores.n)
    has_intent_PK = scores.intents_PK != ""
    intents = {
        f"distinct_intents_at_{k}": distinct_at_k(scores.intents_PK, k, has_intent_PK)
        for k in sorted({shown, scores.n})
    }
    gated = distinct_at_k(scores.intents_PK, shown, has_intent_PK & scores.passed_PK)
    return (
        {f"pass_at_{k}": pass_at_k(scores.n, scores.passed_PK.sum(axis=1), k) for k in ks}
        | {"quality": scores.quality_PK.mean(axis=1)}
        | intents
        | {f"distinct_passing_intents_at_{shown}": gated}
        | {
            f"usq_{name}_at_{shown}": usq_at_k(scores.quality_PK, selector_PK, shown)
            for name, selector_PK in scores.selectors_PK.items()
        }
        | {f"quality_max_at_{shown}": max_at_k(scores.quality_PK, shown)}
        | dict(scores.diversity)
        | {"well_formed": scores.well_formed_PK.mean(axis=1)}
    )


def better(metric: str) -> str:
    """Which direction of a metric is better (for diversity: more diverse)."""
    return "lower" if metric in LOWER_IS_BETTER else "higher"


def _read(path: Path, label: str) -> pl.DataFrame:
    if not path.is_file():
        raise ArtifactError(f"{label} lacks {path.name}: score it again")
    return pl.read_parquet(path)


def _read_diversity(folder: Path, label: str, prompts: tuple[str, ...]) -> dict[str, Floats]:
    rows = _read(folder / "diversity.parquet", label).sort("prompt_id")
    _refuse(set(rows["prompt_id"]) ^ set(prompts), f"{label}: diversity and scores disagree about")
    numeric = [name for name, dtype in rows.schema.items() if dtype.is_numeric() and name not in NOT_DIVERSITY]
    return {name: rows[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in sorted(numeric)}


def _refuse(prompts: Iterable[str], what: str) -> None:
    """Raise MetricError where there is such a prompt, naming the first few."""
    named = sorted(prompts)
    if named:
        more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
        raise MetricError(f"{what} {', '.join(named[:NAMED])}{more}")
