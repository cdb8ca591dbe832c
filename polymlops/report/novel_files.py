"""The novel metrics as files: one table over arms, seeds and domains, comparisons, rankings, figures, LaTeX."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from polymlops.figures.curves import Curve, curves_figure
from polymlops.figures.saving import save_figure
from polymlops.report.arm_differences import ArmDifference
from polymlops.report.json_files import write_json
from polymlops.report.latex import booktabs
from polymlops.report.novel_rankings import RankChange, Ranking
from polymlops.report.score_table import ScoreRow

Curves = Mapping[str, Sequence[Curve]]


@dataclass(frozen=True, slots=True)
class NovelRow:
    """A metric of an arm in a domain, of one seed or of all (-1); `iqm` is the interquartile mean over seeds."""

    domain: str
    arm: str
    seed: int
    row: ScoreRow
    iqm: float

    @property
    def metric(self) -> str:
        """Name within the domain."""
        return self.row.metric

    @property
    def value(self) -> float:
        """NaN where undefined; infinite for a collapse point beyond n."""
        return self.row.value

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return self.row.low

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval."""
        return self.row.high


@dataclass(frozen=True, slots=True)
class NovelDomain:
    """All that phase 4 says about one domain.

    `rankings` has pass@k first, then USQ@k of every selector; `agreement` is Kendall's tau of each with the first.
    `advice` is by arm, `curves` by the name of their figure.
    """

    domain: str
    rows: tuple[NovelRow, ...]
    differences: tuple[ArmDifference, ...]
    rankings: tuple[Ranking, ...]
    agreement: Mapping[str, float]
    changes: tuple[RankChange, ...]
    advice: Mapping[str, str]
    curves: Curves
    shown: int
    notes: tuple[str, ...]


def write_domains(domains: Sequence[NovelDomain], folder: Path) -> None:
    """Write novel_metrics and novel_comparisons (.json, .csv), novel_findings.json; figures and .tex by domain."""
    rows = [table_entry(row) for domain in domains for row in domain.rows]
    write_json(folder / "novel_metrics.json", rows)
    pl.DataFrame(rows, infer_schema_length=None).fill_nan(None).write_csv(folder / "novel_metrics.csv")
    compared = [{"domain": domain.domain} | asdict(item) for domain in domains for item in domain.differences]
    write_json(folder / "novel_comparisons.json", compared)
    if compared:
        pl.DataFrame(compared, infer_schema_length=None).fill_nan(None).write_csv(folder / "novel_comparisons.csv")
    write_json(folder / "novel_findings.json", {domain.domain: _findings(domain) for domain in domains})
    for domain in domains:
        for name, curves in domain.curves.items():
            save_figure(curves_figure(curves), folder, f"{domain.domain}_{name}")
        (folder / f"{domain.domain}_usq.tex").write_text(booktabs(usq_table(domain)), encoding="utf-8")
        if domain.differences:
            path = folder / f"{domain.domain}_comparisons.tex"
            path.write_text(booktabs(comparison_table(domain)), encoding="utf-8")


def table_entry(row: NovelRow) -> dict[str, Any]:
    """A row as it is written; `seed` is null where the row is over all `seeds`."""
    return {
        "domain": row.domain,
        "arm": row.arm,
        "seed": None if row.seed < 0 else row.seed,
        **{name: value for name, value in asdict(row.row).items() if name != "arm"},
        "iqm": row.iqm,
    }


def usq_table(domain: NovelDomain) -> list[list[str]]:
    """Head and rows of the paper's table: an arm a row, pass@k and USQ@k by every selector, collapse point."""
    pooled = {(row.arm, row.metric): row for row in domain.rows if row.seed < 0}
    arms = list(dict.fromkeys(row.arm for row in domain.rows))
    metrics = [item.metric for item in domain.rankings]
    head = ["arm", *(_title(metric) for metric in metrics), "collapse point"]
    body = [
        [arm, *(_shown(pooled.get((arm, metric))) for metric in metrics), _shown(pooled.get((arm, "collapse_point")))]
        for arm in arms
    ]
    return [head, *body]


def comparison_table(domain: NovelDomain) -> list[list[str]]:
    """Head and rows: every pair and metric with interval, corrected p, effect sizes and whether it may be claimed."""
    head = ["pair", "metric", "difference", "95 % interval", "p (Holm)", "d", "Cliff", "MDE", "claim"]
    return [head, *(_comparison(item) for item in domain.differences)]


def _comparison(item: ArmDifference) -> list[str]:
    numbers = (item.p_holm, item.cohens_d, item.cliffs_delta, item.minimum_detectable_effect)
    return [
        f"{item.arm} - {item.reference}",
        item.metric,
        f"{item.difference:+.3f}",
        f"{item.low:+.3f} to {item.high:+.3f}",
        *("-" if math.isnan(number) else f"{number:.3f}" for number in numbers),
        "yes" if item.claim else "saturated" if item.saturated else "no",
    ]


def _findings(domain: NovelDomain) -> dict[str, Any]:
    claims = [item.sentence for item in domain.differences if item.claim]
    return {
        "shown": domain.shown,
        "advice": dict(domain.advice),
        "claims": claims,
        "undecided": [item.sentence for item in domain.differences if not item.claim],
        "rankings": [asdict(item) for item in domain.rankings],
        "agreement_with_pass_at_k": dict(domain.agreement),
        "rank_changes": [asdict(item) for item in domain.changes],
        "notes": list(domain.notes),
    }


def _title(metric: str) -> str:
    name, _, k = metric.rpartition("_at_")
    return f"pass@{k}" if name == "pass" else f"USQ@{k} {name.removeprefix('usq_')}"


def _shown(row: NovelRow | None) -> str:
    if row is None or math.isnan(row.value):
        return "-"
    if math.isinf(row.value):
        return "beyond n"
    if row.metric == "collapse_point":
        return f"{row.value:.0f}"
    return f"{row.value:.3f}" if math.isnan(row.low) else f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]"
