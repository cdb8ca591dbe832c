"""`score` and `compare`: from candidates, or the scores of tracked runs, to tables, files and an MLflow run."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.score_requests import Request, curve_ks, default_ks_of, measure, settings_of, store_config, writable_folder

if TYPE_CHECKING:
    from polymlops.evaluation.candidate_groups import CandidateGroup
    from polymlops.evaluation.candidate_scores import ArmValues
    from polymlops.evaluation.candidates import Candidates
    from polymlops.report.score_table import ScoreTable


@dataclass(frozen=True, slots=True)
class ScoreRequest(Request):
    """What `score` takes."""

    files: tuple[str, ...]
    pass_hat: bool
    threshold: float
    track: bool
    domain: str
    suite: str | None
    suite_file: str | None
    check_suite: bool
    require_isolation: bool
    workers: int


def score_command(request: ScoreRequest, about: Mapping[str, Any] | None = None) -> None:
    """Read, score, print; write and track where asked. `about` is what else is known, for the summary."""
    from flows.score_printing import print_scores
    from polymlops.evaluation.candidate_groups import candidate_groups
    from polymlops.evaluation.candidates import read_candidates
    from polymlops.report.score_notes import score_notes

    out = writable_folder(request.out)
    candidates = read_candidates([Path(file) for file in request.files])
    groups = candidate_groups(candidates)
    request = replace(request, ks=request.ks or default_ks_of(groups))
    scored = _score(request, groups)
    notes = score_notes(scored.arms, groups, candidates.ignored)
    summary: dict[str, Any] = {"settings": settings_of(request, scored.arms), "notes": list(notes), **(about or {})}
    if out is not None or request.track:
        summary |= _keep(request, candidates, scored, summary, out)
    print_scores(scored.table.rows, summary, request.as_json)


@dataclass(frozen=True, slots=True)
class _Scored:
    arms: list[ArmValues]
    table: ScoreTable


def _score(request: ScoreRequest, groups: Sequence[CandidateGroup]) -> _Scored:
    from polymlops.evaluation.candidate_scores import ScoreSettings
    from polymlops.report.score_draws import TableSettings
    from polymlops.report.score_table import score_table

    drawn_at = curve_ks(groups) if request.out or request.track else ()
    ks = tuple(sorted({*request.ks, *drawn_at}))
    arms = measure(groups, request, ScoreSettings(ks, request.tokenizer, request.rarefied, request.pass_hat))
    settings = TableSettings(request.ks, request.resamples, request.seed, request.threshold, request.pass_hat, drawn_at)
    return _Scored(arms, score_table(arms, settings))


def _keep(
    request: ScoreRequest, candidates: Candidates, scored: _Scored, summary: Mapping[str, Any], out: Path | None
) -> dict[str, str]:
    """Write the files and log the run; returns where they are."""
    from polymlops.report.score_files import write_scores

    kept: dict[str, str] = {} if out is None else {"folder": str(out)}
    with tempfile.TemporaryDirectory() as temporary:
        write_scores(scored.table, candidates, scored.arms, summary, Path(temporary))
        if out is not None:  # it may hold other files, which are not part of the run
            shutil.copytree(temporary, out, dirs_exist_ok=True)
        if request.track:
            kept["run_id"] = _track(request, summary["settings"], scored.table, Path(temporary))
    return kept


def _track(request: ScoreRequest, settings: dict[str, Any], table: ScoreTable, folder: Path) -> str:
    from flows.commands import check_writable

    config = store_config(request)
    check_writable(config.output_dir)
    from polymlops.tracking.addresses import artifact_folder, tracking_uri
    from polymlops.tracking.manifest import file_digest
    from polymlops.tracking.scored_runs import EXPERIMENT, ScoredCandidates, log_scores
    from polymlops.tracking.store import open_experiment, open_store

    uri = tracking_uri(config.tracking.uri, config.output_dir)
    client = open_store(uri)
    experiment = open_experiment(client, EXPERIMENT, artifact_folder(uri, config.output_dir))
    files = {
        f"file.{i}.{key}": value for i, file in enumerate(request.files) for key, value in _named(file, file_digest)
    }
    title = "score " + " ".join(Path(file).name for file in request.files)
    scored = ScoredCandidates(title, request.domain, settings | files, _metrics(table))
    return log_scores(client, experiment, scored, folder)


def _named(file: str, digest: Any) -> list[tuple[str, str]]:
    return [("name", Path(file).name), ("sha256", digest(Path(file)))]


def _metrics(table: ScoreTable) -> dict[str, dict[str, float]]:
    """Finite values by arm, with the ends of their intervals."""
    metrics: dict[str, dict[str, float]] = {row.arm: {} for row in table.rows}
    for row in table.rows:
        named = {row.metric: row.value, f"{row.metric}_low": row.low, f"{row.metric}_high": row.high}
        metrics[row.arm] |= {name: value for name, value in named.items() if math.isfinite(value)}
    return metrics
