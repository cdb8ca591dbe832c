"""Every selector that stored scores and texts allow, and what each is worth, without sampling anything.

What ranks candidates by a number (reward model, judge, likelihood, length, heuristic, chance) becomes a selector like
those that come as columns. Those that are no ranking (the most unlike, people) give USQ@k directly.

Names: `reward`, `judge`, `logprob`, `length` and others as in the columns `selector_*`; `heuristic`, `random`,
`diversity_first`, `noisy_human`, `position_biased`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from polymlops.config.novel import SelectorSettings
from polymlops.errors import InputError
from polymlops.evaluation.candidate_groups import CandidateGroup
from polymlops.evaluation.selector_people import noisy_human_usq, position_biased_usq
from polymlops.evaluation.selector_sets import Encode, diversity_first_usq, meaning_distances, word_distances
from polymlops.metrics.arrays import Floats, Ints, Rows
from polymlops.training.rewards import HeuristicReward

RANDOM, HEURISTIC, UNLIKE, NOISY, HURRIED = "random", "heuristic", "diversity_first", "noisy_human", "position_biased"
# What stands in front of a screen; the others can be computed before anybody looks.
PEOPLE = (NOISY, HURRIED)


@dataclass(frozen=True, slots=True)
class DirectUsq:
    """USQ@k of a selector that is no ranking, by prompt and k; `error` is the largest error of a mean over prompts."""

    selector: str
    values_PM: Floats
    error: float = 0.0


def with_rankings(group: CandidateGroup, posts: Sequence[str] | None, settings: SelectorSettings) -> CandidateGroup:
    """The group with `random` and, where posts and texts are there, `heuristic` among its selectors.

    `posts` are one a prompt. Random is a constant score, whose ties are broken at random: its USQ is the mean.

    Raises: InputError where posts and prompts are not as many.
    """
    added: dict[str, Rows] = {RANDOM: _by_prompt(np.zeros(int(group.n_P.sum())), group.n_P)}
    if posts is not None and group.texts is not None:
        if len(posts) != len(group.prompts):
            raise InputError(f"{len(posts)} posts for {len(group.prompts)} prompts of {group.arm}: give one each")
        repeated = [post for post, n in zip(posts, group.n_P.tolist(), strict=True) for _ in range(n)]
        values = HeuristicReward(settings.heuristic).score(repeated, group.texts.to_list()).values
        added[HEURISTIC] = _by_prompt(values, group.n_P)
    return replace(group, selectors_PK={**group.selectors_PK, **added})


def direct_usq(
    group: CandidateGroup, ks: Sequence[int], settings: SelectorSettings, encode: Encode | None = None
) -> tuple[DirectUsq, ...]:
    """USQ@k of the people and, where there are texts, of the most unlike candidate; nothing without quality or passes.

    Distances are those of words or, with `encode`, of meaning.

    Raises: MetricError for a temperature far below the spread of quality.
    """
    quality = group.quality_PK
    if quality is None:
        return ()
    found = [
        DirectUsq(NOISY, noisy_human_usq(quality, list(ks), settings.temperature)),
        DirectUsq(HURRIED, position_biased_usq(quality, list(ks), settings.patience)),
    ]
    if group.texts is not None:
        texts_of = group.texts_by_prompt()
        distances = [meaning_distances(texts, encode) if encode else word_distances(texts) for texts in texts_of]
        rng = np.random.default_rng(settings.seed)
        means = diversity_first_usq(quality, distances, ks, rng, settings.subsets)
        known_PM = np.where(np.isnan(means.error_PM), 0.0, means.error_PM)
        of_means_M = np.sqrt((known_PM**2).sum(axis=0)) / max(1, len(known_PM))
        found.append(DirectUsq(UNLIKE, means.values_PM, float(of_means_M.max(initial=0.0))))
    return tuple(found)


def usq_columns(found: Sequence[DirectUsq], ks: Sequence[int]) -> Mapping[str, Floats]:
    """Columns by the names of the table, `usq_<selector>_at_<k>` (P,); without a ranking there is no correlation."""
    columns = {f"usq_{item.selector}_at_{k}": item.values_PM[:, m] for item in found for m, k in enumerate(ks)}
    missing = {f"correlation_{item.selector}": np.full(len(item.values_PM), np.nan) for item in found}
    return columns | missing


def _by_prompt(values: Floats, n_P: Ints) -> Rows:
    if (n_P == n_P[0]).all():
        return values.reshape(len(n_P), -1)
    return np.split(values, np.cumsum(n_P)[:-1])
