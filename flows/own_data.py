"""What `ingest` and `reward` do with a file of posts, replies and likes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from polymlops.config.profiles import load_config
from polymlops.config.schema import ExperimentConfig
from polymlops.errors import UsageError
from polymlops.report.json_files import json_ready

# `reward` makes nothing but the reward model, so most posts go to it; the base model only guards its scores.
MOSTLY_REWARD = (
    "data.split={train_sft: 0.12, train_grpo: 0.03, reward: 0.79, validation: 0.03, test: 0.03}",
    "base_model.steps=100",
)


@dataclass(frozen=True, slots=True)
class OwnDataRequest:
    """A file, which of its columns are ours (`ours=theirs`), and overrides of a profile."""

    file: str
    mapping: tuple[str, ...] = ()
    profile: str = "yours"
    overrides: tuple[str, ...] = ()
    as_json: bool = False

    def config(self, *before: str) -> ExperimentConfig:
        """The whole config; what is asked for comes after `before`.

        Raises: ConfigError, or UsageError where a mapping is none.
        """
        pairs = ["data.source.kind=file", f"data.source.path={json.dumps(self.file)}"]
        for pair in self.mapping:
            ours, separator, theirs = pair.partition("=")
            if not separator or not ours or not theirs:
                raise UsageError(f"--map {pair}: expected OURS=COLUMN")
            pairs.append(f"data.source.columns.{ours}={json.dumps(theirs)}")
        return load_config(self.profile, (*before, *pairs, *self.overrides))


def ingest_command(request: OwnDataRequest) -> None:
    """Read a file without keeping anything, and print what is usable of it and what is not, with the reasons."""
    from polymlops.data.ingest import ingest, require_rows

    config = request.config()
    with tempfile.TemporaryDirectory() as folder:
        found = ingest(config.data, Path(folder) / "interactions.parquet")
    if request.as_json:
        click.echo(json.dumps(asdict(found), indent=2, ensure_ascii=False))
    else:
        _print_account(found.rows_in, found.rows_kept, found.notes)
        for name, columns in found.columns.items():
            click.echo(f"columns of {name}: " + ", ".join(f"{ours}={theirs}" for ours, theirs in columns.items()))
        for reason, count in sorted(found.drops.counts.items(), key=lambda item: -item[1]):
            click.echo(f"dropped {reason}: {count}")
            for example in found.drops.examples[reason]:
                click.echo(f"    {example}")
    require_rows(found)


def reward_command(request: OwnDataRequest) -> None:
    """Train and validate a reward model on a file, and print its report."""
    import contextlib
    import sys

    from flows import run_reward_model
    from flows.commands import check_writable, show_progress

    config = request.config(*MOSTLY_REWARD)
    check_writable(config.output_dir)
    show_progress()
    with contextlib.redirect_stdout(sys.stderr):  # trainers print; stdout is for results
        found = run_reward_model(config)
    report = json.loads((found.folder / "report.json").read_text(encoding="utf-8"))
    if request.as_json:
        click.echo(json.dumps(json_ready({**report, "folder": str(found.folder)}), indent=2))
        return
    for line in verdict_lines(report):
        click.echo(line)
    click.echo(f"report: {found.folder / 'report.json'}")


def verdict_lines(report: Mapping[str, Any]) -> list[str]:
    """The report in a few lines: agreement on held-out posts, each baseline's, and whether it is beaten."""
    lines = [
        f"{report['rows']} replies to {report['posts']} posts; every figure is on posts that the model has not seen",
        f"{'':<14} {'pairs in the right order':<26} {'Pearson':<26} {'rank within a post':<26}",
        _agreement_line(report["kept"], report["model"]),
        *(_agreement_line(name, found) for name, found in report["baselines"].items()),
    ]
    if report["earliest_reply_first"]:
        lines.append(_agreement_line("earliest first", report["earliest_reply_first"]) + "  no text shows this")
    for name, gain in report["gains"].items():
        difference = gain["pairwise_accuracy"]
        above = "above" if difference["low"] > 0 else "NOT above"
        lines.append(f"pairs in the right order: {above} {name}, {_interval(difference, '+')}")
    return lines


def _agreement_line(name: str, found: Mapping[str, Any]) -> str:
    figures = ("pairwise_accuracy", "pearson", "within_post_spearman")
    return f"{name:<14} " + " ".join(f"{_interval(found[figure]):<26}" for figure in figures)


def _interval(value: Mapping[str, float], sign: str = "") -> str:
    return f"{value['value']:{sign}.3f} [{value['low']:{sign}.3f}, {value['high']:{sign}.3f}]"


def _print_account(rows_in: int, rows_kept: int, notes: Mapping[str, int]) -> None:
    click.echo(f"{rows_kept} of {rows_in} rows are usable")
    for what, count in notes.items():
        click.echo(f"noted {what}: {count}")
