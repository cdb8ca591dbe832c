"""Phase 4 on paper: what users get from every arm in every domain, whoever picks; from what is stored only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from polymlops.config.novel import NovelSpec
from polymlops.evaluation.candidate_scores import ArmValues
from polymlops.evaluation.selectors import HURRIED, NOISY, RANDOM, UNLIKE
from polymlops.metrics.statistics import interquartile_mean
from polymlops.records import Job
from polymlops.report.arm_differences import ArmDifference, difference_notes, pairwise_differences, shared_metrics
from polymlops.report.novel_arms import DomainArms, read_domains
from polymlops.report.novel_files import NovelDomain, NovelRow, write_domains
from polymlops.report.novel_rankings import kendall_tau, rank_changes, ranking
from polymlops.report.novel_words import advice, statistics_notes
from polymlops.report.score_collapse import arm_collapse
from polymlops.report.score_draws import TableSettings
from polymlops.report.score_table import ScoreRow, ScoreTable, score_table

# Whose curves are drawn, where there are such; the table has every selector.
DRAWN = ("pass_at_k", *(f"usq_{name}_at_k" for name in ("reward", "judge", "heuristic", "logprob", "noisy_human")))
POOLED = -1  # the seed of a row over all seeds
# These are no order of the candidates, so that there is nothing to correlate with quality.
UNRANKED = tuple(f"correlation_{name}" for name in (UNLIKE, NOISY, HURRIED))


def write_novel_metrics(
    spec: NovelSpec, scores: Mapping[str, Path], samples: Mapping[str, Path], job: Job
) -> dict[str, float]:
    """Write tables (JSON, CSV, LaTeX), comparisons, rankings, advice and curves of every domain to `job.output`.

    `scores` and `samples` map "arm/seed" (with any prefix, where domains have their own folders) to folders:
    scores.parquet and diversity.parquet, samples.parquet. A label without samples has no selector that reads texts.
    Returns `<domain>/<arm>/<metric>`, and `_low`, `_high` where there is an interval; a collapse point beyond n is NaN
    with `<domain>/<arm>/collapse_point_beyond_n` at 1.

    Raises:
        ArtifactError: a file or column is missing, or scores and samples are not of the same candidates.
        InputError: arms were sampled in different ways, or answer different prompts; they are named.
        MetricError: there are no scores, or arms were trained with different seeds.
    """
    domains = [measure(spec, domain) for domain in read_domains(spec, scores, samples)]
    write_domains(domains, job.output)
    return {name: value for domain in domains for name, value in flat_metrics(domain).items()}


def measure(spec: NovelSpec, domain: DomainArms) -> NovelDomain:
    """Everything that is said about a domain."""
    settings = TableSettings(domain.ks, spec.resamples, spec.seed, spec.threshold, curve_ks=domain.curve_ks, gains=True)
    pooled = score_table(domain.arms, settings)
    seeds = [one_seed(arm, index) for arm in domain.arms if len(arm.seeds) > 1 for index in range(len(arm.seeds))]
    alone = replace(settings, curve_ks=())
    rows = _rows(domain, pooled, domain.arms) + (_rows(domain, score_table(seeds, alone), seeds) if seeds else [])
    differences = _differences(spec, domain)
    means = {(row.arm, row.metric): row.value for row in pooled.rows}
    selectors = _shared_selectors(domain)
    by_pass = ranking(f"pass_at_{spec.shown}", _means(domain, means, f"pass_at_{spec.shown}"))
    rankings = [by_pass]
    for selector in selectors:
        metric = f"usq_{selector}_at_{spec.shown}"
        rankings.append(ranking(metric, _means(domain, means, metric)))
    return NovelDomain(
        domain=domain.domain,
        rows=tuple(rows),
        differences=differences,
        rankings=tuple(rankings),
        agreement={item.metric: kendall_tau(by_pass, item) for item in rankings[1:]},
        changes=rank_changes(differences, selectors, spec.shown),
        advice=_advice(spec, domain),
        curves={name: curves for name, curves in pooled.curves.items() if name in DRAWN},
        shown=spec.shown,
        notes=(
            *spec.missing,
            *domain.notes,
            *difference_notes(domain.arms),
            *statistics_notes(domain.arms, differences, spec.resamples),
        ),
    )


def one_seed(arm: ArmValues, index: int) -> ArmValues:
    """The arm as if only one of its seeds had been trained, under the name "arm/seed"."""
    part = slice(index, index + 1)
    return replace(
        arm,
        arm=f"{arm.arm}/{arm.seeds[index]}",
        seeds=arm.seeds[part],
        n_SP=arm.n_SP[part],
        passes_SP=None if arm.passes_SP is None else arm.passes_SP[part],
        values_SP={name: values_SP[part] for name, values_SP in arm.values_SP.items()},
    )


def flat_metrics(domain: NovelDomain) -> dict[str, float]:
    """Pooled rows under their stable names."""
    flat: dict[str, float] = {}
    for row in (row for row in domain.rows if row.seed == POOLED):
        name = f"{domain.domain}/{row.arm}/{row.metric}"
        flat[name] = row.value if math.isfinite(row.value) else math.nan
        if row.metric == "collapse_point":
            flat[f"{name}_beyond_n"] = float(math.isinf(row.value))
        if math.isfinite(row.low) and math.isfinite(row.high):
            flat[f"{name}_low"], flat[f"{name}_high"] = row.low, row.high
    return flat


def _rows(domain: DomainArms, table: ScoreTable, arms: tuple[ArmValues, ...] | list[ArmValues]) -> list[NovelRow]:
    values = {arm.arm: arm for arm in arms}
    rows = []
    for row in table.rows:
        if row.metric in UNRANKED:
            continue
        arm, _, seed = row.arm.partition("/")
        single = values[row.arm].seeds[0] if len(values[row.arm].seeds) == 1 and seed else POOLED
        rows.append(NovelRow(domain.domain, arm, single, row, _middle(values[row.arm], row)))
    return rows


def _middle(arm: ArmValues, row: ScoreRow) -> float:
    """Interquartile mean over seeds of a metric that is a mean over prompts; NaN for ratios of means."""
    if row.metric not in arm.values_SP:
        return math.nan
    values_SP = arm.values_SP[row.metric]
    defined_SP = values_SP[:, ~np.isnan(values_SP).any(axis=0)]
    return interquartile_mean(defined_SP.mean(axis=1)) if defined_SP.size else math.nan


def _differences(spec: NovelSpec, domain: DomainArms) -> tuple[ArmDifference, ...]:
    """All pairs on quality, pass@1 and the metrics at the shown k: a family that corrected p-values can still carry."""
    if len(domain.arms) < 2:
        return ()
    chance = f"usq_{RANDOM}_at_"  # the mean once more
    shared = [name for name in shared_metrics(domain.arms, (1, spec.shown)) if not name.startswith(chance)]
    metrics = [name for name in shared if _is_defined(domain, name)]
    pairs = [(later.arm, earlier.arm) for earlier, later in combinations(domain.arms, 2)]
    rng = np.random.default_rng([spec.seed, 2])
    return pairwise_differences(domain.arms, pairs, metrics, rng, spec.resamples)


def _is_defined(domain: DomainArms, metric: str) -> bool:
    return all(not np.isnan(arm.values_SP[metric]).all() for arm in domain.arms)


def _shared_selectors(domain: DomainArms) -> list[str]:
    return [name for name in domain.arms[0].selectors if all(name in arm.selectors for arm in domain.arms)]


def _means(domain: DomainArms, means: Mapping[tuple[str, str], float], metric: str) -> dict[str, float]:
    return {arm.arm: means.get((arm.arm, metric), math.nan) for arm in domain.arms}


def _advice(spec: NovelSpec, domain: DomainArms) -> dict[str, str]:
    return {
        arm.arm: advice(arm_collapse(arm, spec.threshold, np.random.default_rng([spec.seed, 0]), spec.resamples))
        for arm in domain.arms
    }
