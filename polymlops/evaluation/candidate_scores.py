"""From candidates to one value a seed and prompt for every metric; means and intervals come later, over all arms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from polymlops.errors import InputError
from polymlops.evaluation.candidate_diversity import (
    TOKENIZERS,
    Encode,
    common_bigrams,
    diversity_by_prompt,
    recorded_diversity,
)
from polymlops.evaluation.candidate_groups import CandidateGroup
from polymlops.metrics.arrays import Floats, Ints
from polymlops.metrics.pass_at_k import max_at_k, pass_at_k, pass_hat_k
from polymlops.metrics.user_selection import usq_at_k, within_prompt_correlation

LADDER = (1, 2, 5)
ScoredGroup = tuple[CandidateGroup, Mapping[str, Floats], Mapping[str, Floats]]


@dataclass(frozen=True, slots=True)
class ArmValues:
    """All metrics of one arm, `values_SP[metric]` by seed and prompt, NaN where undefined.

    `n_SP` candidates, 0 where a seed does not answer a prompt; `passes_SP` of them pass, none where nobody judged that.
    `judged_by` is "quality", "passed" or "": what USQ is the mean of. `diversity` names the metrics of text.
    `judged_SP` candidates have a judgement; none stands for all of `n_SP`.
    """

    arm: str
    seeds: tuple[int, ...]
    prompts: tuple[str, ...]
    n_SP: Ints
    passes_SP: Ints | None
    judged_by: str
    selectors: tuple[str, ...]
    diversity: tuple[str, ...]
    values_SP: Mapping[str, Floats]
    judged_SP: Ints | None = None

    @property
    def counted_SP(self) -> Ints:
        """Candidates with a judgement: up to so many k, what rests on judgements is defined."""
        return self.n_SP if self.judged_SP is None else self.judged_SP


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """What is measured: candidates shown, tokenizer by name, bigrams of the rarefied distinct-2 (0: find a number).

    `pass_hat` asks for pass^k as well.
    """

    ks: tuple[int, ...]
    tokenizer: str = "whitespace"
    rarefied: int = 0
    pass_hat: bool = False


def default_ks(n: int) -> tuple[int, ...]:
    """1, 2, 5, 10, 20, 50, ... below n, and n itself."""
    return tuple(
        sorted({step * 10**power for power in range(len(str(n))) for step in LADDER if step * 10**power < n} | {n})
    )


def largest_n(groups: Sequence[CandidateGroup]) -> int:
    """Candidates of the prompt that has most of them."""
    return max(int(group.n_P.max()) for group in groups)


def score_groups(
    groups: Sequence[CandidateGroup],
    settings: ScoreSettings,
    encode: Encode | None = None,
    recorded: pl.DataFrame | None = None,
    done: Callable[[int], object] = int,
) -> list[ArmValues]:
    """Every metric that the candidates' columns allow, one record an arm; k = 1 is always among the ks.

    `recorded` holds the diversity (arm, seed, prompt_id, metrics) of candidates whose texts are not at hand.

    Raises: InputError where the seeds of an arm have different columns.
    """
    tokenizer = TOKENIZERS[settings.tokenizer]
    rarefied = settings.rarefied or common_bigrams(groups, tokenizer)
    ks = tuple(sorted({1, *settings.ks}))
    diversity = [
        diversity_by_prompt(group, tokenizer, rarefied, encode, done)
        if group.texts is not None or recorded is None
        else recorded_diversity(group, recorded)
        for group in groups
    ]
    scored = [
        (group, outcomes_by_prompt(group, ks, settings.pass_hat), texts)
        for group, texts in zip(groups, diversity, strict=True)
    ]
    return [pool_seeds([item for item in scored if item[0].arm == arm]) for arm in dict.fromkeys(g.arm for g in groups)]


def answered_by(groups: Sequence[CandidateGroup]) -> list[ArmValues]:
    """The arms with their prompts and numbers of candidates, and no metric yet."""
    return [pool_seeds([(g, {}, {}) for g in groups if g.arm == arm]) for arm in dict.fromkeys(g.arm for g in groups)]


def outcomes_by_prompt(group: CandidateGroup, ks: Sequence[int], pass_hat: bool = False) -> dict[str, Floats]:
    """Metrics of passes, quality and selectors, name -> (P,).

    They are means over the k-subsets of the judged candidates, NaN where fewer than k are judged. What a harness could
    not judge failed for reasons of the machine, so that the judged ones are still independent draws.
    """
    found: dict[str, Floats] = {}
    judged_P = group.n_P if group.judged_P is None else group.judged_P
    if group.passes_P is not None:
        found |= _over_k("pass_at", pass_at_k(judged_P, group.passes_P, ks), ks)
    if group.passes_P is not None and pass_hat:
        found |= _over_k("pass_hat_at", pass_hat_k(judged_P, group.passes_P, ks), ks)
    if group.quality_PK is None:
        return found
    if group.judged_by == "quality":
        found["quality"] = max_at_k(group.quality_PK, 1)
        found |= _over_k("max_at", max_at_k(group.quality_PK, ks), ks)
    for name, selector_PK in group.selectors_PK.items():
        found |= _over_k(f"usq_{name}_at", usq_at_k(group.quality_PK, selector_PK, ks), ks)
        found[f"correlation_{name}"] = within_prompt_correlation(group.quality_PK, selector_PK)
    return found


def pool_seeds(scored: Sequence[ScoredGroup]) -> ArmValues:
    """Put the seeds of one arm (group, outcomes, diversity) side by side; a prompt that a seed lacks is NaN there.

    Raises: InputError where the seeds have different columns.
    """
    _check_alike(scored)
    groups = [group for group, _, _ in scored]
    prompts = tuple(sorted({prompt for group in groups for prompt in group.prompts}))
    place = {prompt: index for index, prompt in enumerate(prompts)}
    where = [np.array([place[prompt] for prompt in group.prompts]) for group in groups]

    def spread(columns_SP: Sequence[Floats | Ints], missing: float) -> Floats:
        table_SP = np.full((len(groups), len(prompts)), missing)
        for row_P, index_P, column_P in zip(table_SP, where, columns_SP, strict=True):
            row_P[index_P] = column_P
        return table_SP

    passes = [group.passes_P for group in groups if group.passes_P is not None]
    parts = [{**outcomes, **diversity} for _, outcomes, diversity in scored]
    return ArmValues(
        groups[0].arm,
        tuple(group.seed for group in groups),
        prompts,
        spread([group.n_P for group in groups], 0).astype(np.int64),
        spread(passes, 0).astype(np.int64) if passes else None,
        groups[0].judged_by,
        tuple(groups[0].selectors_PK) if groups[0].judged_by else (),
        tuple(scored[0][2]),
        {name: spread([part[name] for part in parts], np.nan) for name in parts[0]},
        judged_SP=_judged(groups, spread),
    )


def _judged(groups: Sequence[CandidateGroup], spread: Callable[[list[Ints], float], Floats]) -> Ints | None:
    if all(group.judged_P is None for group in groups):
        return None
    judged = [group.n_P if group.judged_P is None else group.judged_P for group in groups]
    return spread(judged, 0).astype(np.int64)


def _check_alike(scored: Sequence[ScoredGroup]) -> None:
    first, *others = scored
    for group, outcomes, texts in others:
        odd = sorted((outcomes.keys() ^ first[1].keys()) | (texts.keys() ^ first[2].keys()))
        if odd or group.judged_by != first[0].judged_by:
            what = f"only one of the seeds {first[0].seed} and {group.seed} has {', '.join(odd[:3]) or 'quality'}"
            raise InputError(f"arm {group.arm}: {what}; give every seed the same columns")


def _over_k(name: str, values_PM: Floats, ks: Sequence[int]) -> dict[str, Floats]:
    return {f"{name}_{k}": values_PM[:, j] for j, k in enumerate(ks)}
