"""Results for people, as tables, and for programs, as JSON. See flows.console."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from flows.console import print_json, print_table
from flows.results import DomainResults, GeneralizationResults, NovelResults, PhaseResults
from polymlops.config.hashing import canonical
from polymlops.config.schema import ExperimentConfig
from polymlops.records import Estimate
from polymlops.report.json_files import NOTES
from polymlops.tracking.addresses import tracking_uri
from polymlops.tracking.records import TableRow

BOUNDS = ("value", "low", "high")
Phase = PhaseResults | GeneralizationResults


def print_results(config: ExperimentConfig, phases: Mapping[str, Phase], as_json: bool) -> None:
    """The table of each phase's arms, and where to look for the rest."""
    files = {name: _files(phase) for name, phase in phases.items()}
    if as_json:
        listed = {
            name: {**canonical(phase), "files": files[name], "notes": _notes(phase)} for name, phase in phases.items()
        }
        print_json({**listed, "tracking_uri": _uri(config)})
        return
    for name, phase in phases.items():
        for domain in _domains(phase):
            print_table(_arms_table(domain.table))
            if (domain.folder / "comparisons.json").is_file():
                _print_comparisons(domain.folder / "comparisons.json")
            _print_notes(read_notes(domain.folder))
        for sentence in _verdicts(phase):
            click.echo(sentence)
        for model in getattr(phase, "models", ()):
            click.echo(f"{model.uri}: {', '.join(model.aliases)}")
        for file in files[name]:
            click.echo(file)
    run_id = next(iter(phases.values())).parent_run_id
    click.echo(f"MLflow: experiment {config.name}, run {run_id}, in {_uri(config)}")
    there = "" if config.output_dir == ExperimentConfig().output_dir else f" --set output_dir={config.output_dir}"
    click.echo(f"Browse both UIs: polymlops ui{there}")


def _domains(phase: Phase) -> list[PhaseResults | DomainResults]:
    """What has a table: the phase itself, or each of its domains."""
    return list(phase.domains.values()) if isinstance(phase, GeneralizationResults) else [phase]


def _notes(phase: Phase) -> list[str]:
    return [note for domain in _domains(phase) for note in read_notes(domain.folder)]


def _files(phase: Phase) -> list[str]:
    """All files of a phase, and its page where it has one."""
    folders = [domain.folder for domain in _domains(phase)]
    if isinstance(phase, GeneralizationResults):
        folders += phase.cross_domain.values()
    page = [phase.page] if isinstance(phase, NovelResults) else []
    return sorted(
        str(path) for path in (*page, *(file for folder in folders for file in folder.rglob("*"))) if path.is_file()
    )


def print_table_rows(rows: Sequence[TableRow], summary: Mapping[str, Any], as_json: bool) -> None:
    """One table of metrics by arm, and what else is known."""
    if as_json:
        print_json({"table": [row.model_dump() for row in rows], **summary})
        return
    print_table(_arms_table(rows))
    _print_notes(summary["notes"])
    for name in ("model", "domain", "suite", "data", "prompts", "folder"):
        if name in summary:
            click.echo(f"{name}: {summary[name]}")


def _verdicts(phase: Phase) -> list[str]:
    """How many candidates to show, by domain and arm, and what could not be measured."""
    if not isinstance(phase, NovelResults):
        return []
    said = list(phase.missing)
    for path in sorted(phase.folder.glob("*/novel_findings.json")):
        for domain, found in json.loads(path.read_text(encoding="utf-8")).items():
            said += [f"{domain}, {arm}: {text}" for arm, text in found["advice"].items()]
    return said


def _arms_table(rows: Sequence[TableRow]) -> Table:
    """Metrics down, arms across."""
    arms = list(dict.fromkeys(row.arm for row in rows))
    cells = {(row.metric, row.arm): Estimate(row.value, row.low, row.high, row.n) for row in rows}
    table = Table("metric", *arms)
    for metric in dict.fromkeys(row.metric for row in rows):
        table.add_row(metric, *(str(cells[metric, arm]) if (metric, arm) in cells else "" for arm in arms))
    return table


def read_notes(folder: Path) -> list[str]:
    """What a report says beside its table."""
    path = folder / NOTES
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def _print_notes(notes: Sequence[str]) -> None:
    for note in notes:
        click.echo(note)


def _print_comparisons(path: Path) -> None:
    """Paired differences between arms; a star where the interval excludes 0."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    if not rows:
        return
    pairs = list(dict.fromkeys(f"{row['arm']} - {row['reference']}" for row in rows))
    cells = {(row["metric"], f"{row['arm']} - {row['reference']}"): row for row in rows}
    table = Table("difference, paired 95 % interval", *pairs)
    for metric in dict.fromkeys(row["metric"] for row in rows):
        table.add_row(metric, *(_difference(cells.get((metric, pair))) for pair in pairs))
    print_table(table)
    seeds = min(row["seeds"] for row in rows)
    scope = "" if seeds > 1 else "; one training seed: nothing is said about another training run"
    click.echo(f"* the interval excludes 0{scope}")


def _difference(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    value, low, high = (math.nan if row["difference"][key] is None else row["difference"][key] for key in BOUNDS)
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]{' *' if row['distinguishable'] else ''}"


def _uri(config: ExperimentConfig) -> str:
    return tracking_uri(config.tracking.uri, config.output_dir.resolve())
