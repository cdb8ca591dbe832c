"""`report`: the page of a tracked roadmap, written to a file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from polymlops.config.schema import ExperimentConfig
from polymlops.errors import InputError


def report_command(config: ExperimentConfig, run: str, out: str, as_json: bool) -> None:
    """Write the page of a run, or of an experiment's newest roadmap, and say where it is.

    Raises:
        InputError: there is no such roadmap, or `out` cannot be written.
        StageError: the store cannot be reached, or gave something damaged.
    """
    path = _writable(out)
    from flows.environment import set_environment

    set_environment(config)
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # of a store's first use
    from polymlops.report.page import write_page
    from polymlops.report.page_content import gather
    from polymlops.report.page_sources import page_sources
    from polymlops.tracking.addresses import database_file, tracking_uri
    from polymlops.tracking.artifacts import materialise
    from polymlops.tracking.roadmap_parts import read_roadmap
    from polymlops.tracking.store import open_store

    uri = tracking_uri(config.tracking.uri, config.output_dir)
    file = database_file(uri)
    if file is not None and not file.is_file():
        raise InputError(f"{run}: no tracking store at {uri}; name one with --set tracking.uri=URI or output_dir")
    client = open_store(uri)
    cache = config.output_dir.resolve() / "cache"
    roadmap = read_roadmap(client, run)
    content = gather(page_sources(roadmap, lambda ref: materialise(client, ref, cache)))
    write_page(content, path)
    verdict = [item.text for item in content.verdict.sentences]
    missing = [reason for section in content.sections() for reason in section.missing]
    if as_json:
        click.echo(json.dumps({"page": str(path), "run": roadmap.run_id, "verdict": verdict, "missing": missing}))
        return
    for text in verdict:
        click.echo(text)
    click.echo(path)


def _writable(out: str) -> Path:
    path = Path(out).resolve()
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError(f"--out {out}: cannot be written; give a file in a folder that is there")
    return path
