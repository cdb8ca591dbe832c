"""Arms over domains: what training on one domain did to the others, from stored scores alone.

`cross_domain` is pure: values by prompt in, tables out. Gains are paired by prompt, intervals are of prompts and seeds
drawn anew, and domains are drawn independently of each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from polymlops.config.cross_domain import CrossDomainSpec
from polymlops.errors import InputError
from polymlops.evaluation.cross_domain_draws import means_drawn, ratio_of_gains, spearman
from polymlops.evaluation.cross_domain_records import (
    Cell,
    CrossDomainReport,
    DomainScores,
    Fate,
    Gain,
    RankCorrelation,
    Retention,
)
from polymlops.evaluation.cross_domain_scores import check_comparable, decoding_notes
from polymlops.metrics.arrays import Floats
from polymlops.metrics.statistics import holm, sign_flip_test, two_level_paired_bootstrap
from polymlops.records import Estimate

# Two ways to compute one value differ by less; that is no finding.
ROUNDING = 1e-12
Pooled = dict[str, dict[str, "PooledScores"]]


@dataclass(frozen=True, slots=True)
class PooledScores:
    """One arm in one domain: `values_SP[metric]` by seed and prompt."""

    seeds: tuple[int, ...]
    values_SP: Mapping[str, Floats]


def cross_domain(scores: Sequence[DomainScores], spec: CrossDomainSpec) -> CrossDomainReport:
    """Compare arms over domains.

    An arm may be missing in a domain; it has no row there. Gains are of `spec.trained` over `spec.base`.

    Raises:
        InputError: within a domain arms answer other prompts, were decoded otherwise, or were scored otherwise; a
            domain has no scores, lacks the base, or lacks the metric that stands for its quality or diversity; seeds
            of an arm cannot be paired with those of the base.
    """
    check_comparable(scores)
    pooled = _pool(scores, spec)
    rng = np.random.default_rng(spec.seed)
    gains = tuple(gain for arm in spec.trained for gain in _gains(pooled, spec, arm, rng))
    return CrossDomainReport(
        cells=tuple(_cells(pooled, spec, rng)),
        gains=gains,
        correlations=tuple(_correlations(pooled, spec, rng)),
        retentions=tuple(_retentions(pooled, spec, gains, rng)),
        notes=decoding_notes(scores),
    )


def _pool(scores: Sequence[DomainScores], spec: CrossDomainSpec) -> Pooled:
    """Domain -> arm -> its values over seeds, in the order of the spec."""
    found: Pooled = {domain: {} for domain in spec.domains}
    for item in sorted(scores, key=lambda item: item.seed):
        if item.domain not in found:
            raise InputError(f"{item.label}: the spec has no domain {item.domain!r}, only {', '.join(found)}")
        values_SP = {name: values_P[None, :] for name, values_P in item.values.items()}
        before = found[item.domain].get(item.arm)
        if before is not None:
            values_SP = {name: np.vstack([before.values_SP[name], row]) for name, row in values_SP.items()}
        seeds = (*(before.seeds if before else ()), item.seed)
        found[item.domain][item.arm] = PooledScores(seeds, values_SP)
    for domain, arms in found.items():
        _check_domain(domain, arms, spec)
    return found


def _check_domain(domain: str, arms: Mapping[str, PooledScores], spec: CrossDomainSpec) -> None:
    if spec.base not in arms:
        known = ", ".join(arms) or "no arm"
        raise InputError(f"{domain} has scores of {known}, not of the base {spec.base!r}: sample and score it there")
    metrics = arms[spec.base].values_SP
    view = spec.domains[domain]
    for role, metric in (("quality", view.quality), ("diversity", view.diversity)):
        if metric not in metrics:
            raise InputError(f"{domain} has no metric {metric!r} for its {role}: name one of {', '.join(metrics)}")


def _cells(pooled: Pooled, spec: CrossDomainSpec, rng: np.random.Generator) -> list[Cell]:
    cells = []
    for domain, arms in pooled.items():
        for arm, scores in arms.items():
            for metric, values_SP in scores.values_SP.items():
                defined_SP = values_SP[:, ~np.isnan(values_SP).any(axis=0)]
                estimate = two_level_paired_bootstrap(defined_SP, np.zeros_like(defined_SP), rng, spec.resamples)
                undefined = values_SP.shape[1] - defined_SP.shape[1]
                cells.append(Cell(domain, arm, metric, estimate, undefined, len(scores.seeds)))
    return cells


def _gains(pooled: Pooled, spec: CrossDomainSpec, arm: str, rng: np.random.Generator) -> list[Gain]:
    """Gains of one arm over the base; one family of tests."""
    gains = []
    for domain, arms in pooled.items():
        for metric in arms[arm].values_SP if arm in arms else ():
            a_SP, b_SP = _paired(arms, arm, spec.base, metric, domain)
            difference = two_level_paired_bootstrap(a_SP, b_SP, rng, spec.resamples)
            test = sign_flip_test(_over_seeds(a_SP), _over_seeds(b_SP), rng, spec.resamples)
            told_apart = difference.excludes_zero and abs(difference.value) > ROUNDING
            home = domain == spec.home
            gains.append(Gain(domain, arm, spec.base, metric, home, difference, test.p, np.nan, told_apart))
    tested = [i for i, gain in enumerate(gains) if not np.isnan(gain.p)]
    adjusted = dict(zip(tested, holm([gains[i].p for i in tested]).tolist(), strict=True))
    return [replace(gain, p_holm=adjusted.get(i, float("nan"))) for i, gain in enumerate(gains)]


def _correlations(pooled: Pooled, spec: CrossDomainSpec, rng: np.random.Generator) -> list[RankCorrelation]:
    """For every two domains: quality, diversity, and each metric that both have under one name."""
    found = []
    for first, second in combinations(pooled, 2):
        arms = tuple(arm for arm in pooled[first] if arm in pooled[second])
        for label, ours, theirs in _shared(pooled, spec, first, second):
            draws = [
                means_drawn([pooled[domain][arm].values_SP[metric] for arm in arms], rng, spec.resamples)
                for domain, metric in ((first, ours), (second, theirs))
            ]
            found.append(RankCorrelation(label, first, second, spearman(*draws), arms))
    return found


def _shared(pooled: Pooled, spec: CrossDomainSpec, first: str, second: str) -> list[tuple[str, str, str]]:
    a, b = spec.domains[first], spec.domains[second]
    roles = [("quality", a.quality, b.quality), ("diversity", a.diversity, b.diversity)]
    ours, theirs = (pooled[domain][spec.base].values_SP for domain in (first, second))
    named = {metric for _, metric, other in roles if metric == other}
    return roles + [(metric, metric, metric) for metric in ours if metric in theirs and metric not in named]


def _retentions(
    pooled: Pooled, spec: CrossDomainSpec, gains: Sequence[Gain], rng: np.random.Generator
) -> list[Retention]:
    by_key = {(gain.domain, gain.arm, gain.metric): gain for gain in gains}
    found = []
    for arm in spec.trained:
        home = by_key.get((spec.home, arm, spec.domains[spec.home].diversity))
        for domain, view in spec.domains.items():
            here = by_key.get((domain, arm, view.diversity))
            if home is None or here is None or domain == spec.home:
                continue
            fate = _fate(home, here)
            share = Estimate(float("nan")) if fate == "no gain" else _share(pooled, spec, arm, domain, rng)
            found.append(Retention(arm, domain, home.difference, here.difference, share, fate))
    return found


def _fate(home: Gain, here: Gain) -> Fate:
    if not (home.distinguishable and home.difference.value > 0):
        return "no gain"
    if not here.distinguishable:
        return "not shown"
    return "kept" if here.difference.value > 0 else "lost"


def _share(pooled: Pooled, spec: CrossDomainSpec, arm: str, domain: str, rng: np.random.Generator) -> Estimate:
    """Relative gain in a domain over the relative gain at home."""
    draws = []
    for place in (domain, spec.home):
        metric = spec.domains[place].diversity
        values = [pooled[place][name].values_SP[metric] for name in (arm, spec.base)]
        draws.append(means_drawn(values, rng, spec.resamples))
    return ratio_of_gains(*draws)


def _paired(arms: Mapping[str, PooledScores], arm: str, base: str, metric: str, domain: str) -> tuple[Floats, Floats]:
    """Values of both arms by seed, on the prompts where both are defined; an arm with one seed stands beside each."""
    ours, theirs = arms[arm], arms[base]
    if ours.seeds != theirs.seeds and 1 not in (len(ours.seeds), len(theirs.seeds)):
        raise InputError(f"{domain}: {arm} has the seeds {ours.seeds}, {base} has {theirs.seeds}: train both alike")
    a_SP, b_SP = ours.values_SP[metric], theirs.values_SP[metric]
    defined_P = ~(np.isnan(a_SP).any(axis=0) | np.isnan(b_SP).any(axis=0))
    shape = (max(len(a_SP), len(b_SP)), int(defined_P.sum()))
    return np.broadcast_to(a_SP[:, defined_P], shape), np.broadcast_to(b_SP[:, defined_P], shape)


def _over_seeds(values_SP: Floats) -> Floats:
    return values_SP.mean(axis=0) if values_SP.size else np.empty(0)
