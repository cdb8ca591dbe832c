"""Arms over domains on paper: the tables of `cross_domain`, and the figure of the gains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from polymlops.config.cross_domain import CrossDomainSpec
from polymlops.errors import MetricError
from polymlops.evaluation.cross_domain import cross_domain
from polymlops.evaluation.cross_domain_records import CrossDomainReport, Row
from polymlops.evaluation.cross_domain_scores import read_domain_scores
from polymlops.figures.cross_domain import cross_domain_figure
from polymlops.figures.saving import save_figure
from polymlops.records import Estimate, Job
from polymlops.report.json_files import write_json


def write_cross_domain(spec: CrossDomainSpec, scores: Mapping[str, Path], job: Job) -> dict[str, float]:
    """Write table, gains, correlations and retentions, each as JSON and CSV, notes.json, and the figure cross_domain.

    `scores` maps "domain/arm/seed" to folders with scores.parquet and diversity.parquet. Returns
    `cross_domain/<domain>/<arm>_minus_<base>/<metric>` for the two leading metrics of each domain,
    `cross_domain/rank_correlation/<metric>/<first>_<second>`, and `cross_domain/diversity_kept/<arm>/<domain>`, each
    also with `_low` and `_high`.

    Raises: InputError as in `cross_domain`; ArtifactError where a file is missing or holds another arm.
    """
    read = []
    for label, folder in scores.items():
        domain = label.split("/")[0]
        if domain not in spec.domains:
            raise MetricError(f"scores under {label}: no domain {domain!r} among {', '.join(spec.domains)}")
        found = read_domain_scores(domain, spec.domains[domain].sampling, folder, spec.ks)
        if label != f"{domain}/{found.arm}/{found.seed}":
            raise MetricError(f"the scores under {label} are of {found.arm}/{found.seed}: name them so")
        read.append(found)
    report = cross_domain(read, spec)
    _write(report, job.output)
    save_figure(cross_domain_figure(report, spec.domains), job.output, "cross_domain")
    return _flat(report, spec)


def _write(report: CrossDomainReport, folder: Path) -> None:
    tables = {
        "table": report.rows(),
        "gains": report.gain_rows(),
        "correlations": report.correlation_rows(),
        "retentions": report.retention_rows(),
    }
    for name, rows in tables.items():
        write_json(folder / f"{name}.json", rows)
        _frame(rows).write_csv(folder / f"{name}.csv")
    write_json(folder / "notes.json", list(report.notes))


def _frame(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, infer_schema_length=None).fill_nan(None)


def _flat(report: CrossDomainReport, spec: CrossDomainSpec) -> dict[str, float]:
    named: dict[str, Estimate] = {}
    for gain in report.gains:
        view = spec.domains[gain.domain]
        if gain.metric in (view.quality, view.diversity):
            named[f"{gain.domain}/{gain.arm}_minus_{gain.base}/{gain.metric}"] = gain.difference
    for item in report.correlations:
        named[f"rank_correlation/{item.metric}/{item.first}_{item.second}"] = item.rho
    named |= {f"diversity_kept/{item.arm}/{item.domain}": item.share for item in report.retentions}
    flat: dict[str, float] = {}
    for name, estimate in named.items():
        flat[f"cross_domain/{name}"] = estimate.value
        flat[f"cross_domain/{name}_low"] = estimate.low
        flat[f"cross_domain/{name}_high"] = estimate.high
    return flat
