"""The scores of one arm and seed as arrays, and the metrics that they give for each prompt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polymlops.errors import ArtifactError, MetricError
from polymlops.evaluation.candidate_rows import HARNESS_ERROR
from polymlops.evaluation.social_reward import VERSION
from polymlops.metrics.arrays import Floats, Ints, Rows
from polymlops.metrics.pass_at_k import max_at_k, pass_at_k
from polymlops.metrics.semantic import distinct_at_k
from polymlops.metrics.user_selection import usq_at_k
from polymlops.report.score_notes import harness_reasons

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
JUDGE_OUTCOME, GIVEN_UP = "judge_outcome", ("unscored", "refused")


@dataclass(frozen=True, slots=True)
class ArmScores:
    """Scores of n candidates for each of P prompts, which are in the order of their ids.

    `intents_PK` is "" where a candidate has no intent. `diversity` holds one value a prompt for each metric, NaN where
    it has no meaning. `selectors_PK` are what could rank candidates without the truth, by name. What nobody judged, a
    program by its harness or a text by its judge, is not in `judged_PK`; its quality is NaN and it has not passed.
    `reasons` say why.
    Where intents are not known, no metric counts them.
    """

    arm: str
    seed: int
    prompts: tuple[str, ...]
    passed_PK: NDArray[np.bool_]
    quality_PK: Floats
    intents_PK: NDArray[np.str_]
    well_formed_PK: NDArray[np.bool_]
    diversity: Mapping[str, Floats]
    selectors_PK: Mapping[str, Floats]
    judged_PK: NDArray[np.bool_]
    reasons: tuple[str, ...] = ()
    knows_intents: bool = True

    @property
    def n(self) -> int:
        """Candidates a prompt."""
        return self.passed_PK.shape[1]

    @property
    def label(self) -> str:
        """How the arm and seed are called in messages and mappings."""
        return f"{self.arm}/{self.seed}"

    @property
    def all_judged_P(self) -> NDArray[np.bool_]:
        """Prompts of which every candidate is judged."""
        return np.asarray(self.judged_PK.all(axis=1))

    def judged_rows(self, values_PK: NDArray[Any]) -> Rows:
        """Values of the judged candidates; prompts may differ in their number."""
        if self.judged_PK.all():
            return values_PK
        return [values_K[judged_K] for values_K, judged_K in zip(values_PK, self.judged_PK, strict=True)]

    def pass_at_k(self, k: int | Ints) -> Floats:
        """Pass@k of each prompt over its judged candidates, NaN where there are fewer than k.

        That a verdict is missing says nothing about the candidate: the judged ones are independent draws as before,
        and the estimate from them is unbiased. Fewer than k of them have no such estimate.
        """
        return pass_at_k(self.judged_PK.sum(axis=1), self.passed_PK.sum(axis=1), k)


def read_scores(label: str, folder: Path) -> ArmScores:
    """Read the scores that a mapping calls "arm/seed" from scores.parquet and diversity.parquet.

    Raises: ArtifactError where a file is missing or belongs to another arm; MetricError where prompts differ in their
    number of candidates, or a candidate has no score and neither its harness nor its judge says why.
    """
    rows = _read(folder / "scores.parquet", label).sort("prompt_id", "sample_id")
    found = {f"{arm}/{seed}" for arm, seed in rows.select("arm", "seed").unique().iter_rows()}
    if found != {label}:
        raise ArtifactError(f"the scores under {label} are of {', '.join(sorted(found)) or 'nothing'}: score it again")
    sizes = rows.group_by("prompt_id").len().sort("prompt_id")
    n = int(sizes["len"].max())  # type: ignore[arg-type]  # a length is a number
    _refuse(sizes.filter(pl.col("len") < n)["prompt_id"], f"{label}: fewer than {n} candidates for")
    unjudged = unjudged_rows(rows)
    unscored = rows.filter(pl.any_horizontal(pl.col("passed", "quality", "well_formed").is_null()) & ~unjudged)
    _refuse(unscored["prompt_id"].unique(), f"{label}: a candidate without a score for")
    arm, _, seed = label.rpartition("/")
    prompts = tuple(sizes["prompt_id"])
    return ArmScores(
        arm,
        int(seed),
        prompts,
        rows["passed"].fill_null(False).to_numpy().reshape(-1, n),
        rows["quality"].cast(pl.Float64).fill_null(float("nan")).to_numpy().reshape(-1, n),
        rows["intent"].fill_null("").to_numpy().astype(np.str_).reshape(-1, n),
        rows["well_formed"].to_numpy().reshape(-1, n),
        _read_diversity(folder, label, prompts),
        {
            name.removeprefix(SELECTOR): rows[name].to_numpy().reshape(-1, n)
            for name in rows.columns
            if name.startswith(SELECTOR)
        },
        ~unjudged.to_numpy().reshape(-1, n),
        _reasons(rows.filter(unjudged)),
        "quality_version" not in rows.columns or set(rows["quality_version"]) != {VERSION},
    )


def unjudged_rows(rows: pl.DataFrame) -> pl.Series:
    """Which rows of scores.parquet are of programs that the harness, or of texts that the judge, left unjudged."""
    if JUDGE_OUTCOME in rows.columns:
        return rows["quality"].is_null() & rows[JUDGE_OUTCOME].is_in(GIVEN_UP)
    if "verdict" in rows.columns:
        return (rows["verdict"] == HARNESS_ERROR).fill_null(False)
    return pl.repeat(False, len(rows), eager=True)


def only_judged(scores: ArmScores) -> ArmScores:
    """The prompts of which every candidate is judged: what compares many k, or fits them, needs the same at each.

    Raises: MetricError where there is none.
    """
    kept_P = scores.all_judged_P
    if not kept_P.any():
        raise MetricError(f"{scores.label}: no prompt of which every candidate is judged: score it again")
    return replace(
        scores,
        prompts=tuple(prompt for prompt, kept in zip(scores.prompts, kept_P, strict=True) if kept),
        diversity={name: values_P[kept_P] for name, values_P in scores.diversity.items()},
        selectors_PK={name: values_PK[kept_P] for name, values_PK in scores.selectors_PK.items()},
        passed_PK=scores.passed_PK[kept_P],
        quality_PK=scores.quality_PK[kept_P],
        intents_PK=scores.intents_PK[kept_P],
        well_formed_PK=scores.well_formed_PK[kept_P],
        judged_PK=scores.judged_PK[kept_P],
        reasons=(),
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
    """Every metric of the table, name -> one value a prompt (P,), NaN where it is undefined.

    What needs verdicts is over the judged candidates, NaN where they are fewer than its k; the rest is over all.
    """
    shown = min(SHOWN, scores.n)
    judged = scores.judged_rows
    has_intent_PK = scores.intents_PK != ""
    quality = judged(scores.quality_PK)
    intents = {
        f"distinct_intents_at_{k}": distinct_at_k(scores.intents_PK, k, has_intent_PK)
        for k in sorted({shown, scores.n})
    }
    gated = distinct_at_k(judged(scores.intents_PK), shown, judged(has_intent_PK & scores.passed_PK))
    intents |= {f"distinct_passing_intents_at_{shown}": gated}
    return (
        {f"pass_at_{k}": scores.pass_at_k(k) for k in ks}
        | {"quality": max_at_k(quality, 1)}
        | (intents if scores.knows_intents else {})
        | {
            f"usq_{name}_at_{shown}": usq_at_k(quality, judged(selector_PK), shown)
            for name, selector_PK in scores.selectors_PK.items()
        }
        | {f"quality_max_at_{shown}": max_at_k(quality, shown)}
        | dict(scores.diversity)
        | {"well_formed": scores.well_formed_PK.mean(axis=1)}
    )


def better(metric: str) -> str:
    """Which direction of a metric is better (for diversity: more diverse)."""
    return "lower" if metric in LOWER_IS_BETTER else "higher"


def _reasons(unjudged: pl.DataFrame) -> tuple[str, ...]:
    if JUDGE_OUTCOME in unjudged.columns:
        return tuple(f"judge: {outcome}" for outcome in unjudged[JUDGE_OUTCOME].unique(maintain_order=True))
    given = unjudged["reason"].fill_null("").unique(maintain_order=True) if "reason" in unjudged.columns else ()
    return tuple(harness_reasons(given))


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
