"""Scores of candidates made elsewhere logged as runs, and the scores of any run found again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from polymlops.errors import InputError
from polymlops.refs import ScoresRef
from polymlops.tracking import ledger
from polymlops.tracking.artifacts import OUTPUT, materialise, publish
from polymlops.tracking.ledger import ROLE
from polymlops.tracking.roadmap_parts import find_run, listed_phases
from polymlops.tracking.tables import ARM

EXPERIMENT, STAGE_NAME = "scored-candidates", "score_candidates"
HOME = "scores/"  # of social replies; other domains' labels begin with their name, and their prompts differ
UNKNOWN = "neither a file nor a run of this tracking store; name its store with --set tracking.uri=URI"
ALLOWED = re.compile(r"[^\w./ :-]")


@dataclass(frozen=True, slots=True)
class ScoredCandidates:
    """What to log: a title, params, and the metrics of each arm by their names within the domain."""

    title: str
    domain: str
    params: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class RunScores:
    """Folders with the scores of a run, and the one arm that was asked for, where it was one."""

    name: str
    folders: tuple[Path, ...]
    arm: str | None


def log_scores(client: MlflowClient, experiment_id: str, scored: ScoredCandidates, folder: Path) -> str:
    """Log one run with params and the folder's files; metrics on it, or for several arms on one run an arm below it.

    Raises:
        TrackingError: the store did not take it.
    """
    tags = {ledger.RUN_NAME: scored.title, ledger.STAGE: STAGE_NAME, "domain": scored.domain}
    run_id = ledger.begin_run(client, experiment_id, tags, scored.params)
    try:
        _, manifest = publish(client, run_id, folder)
        ledger.set_tags(client, run_id, {ledger.DIGEST: manifest.digest})
        for arm, metrics in scored.metrics.items():
            named = {ALLOWED.sub("_", f"{scored.domain}/{name}"): value for name, value in metrics.items()}
            if len(scored.metrics) == 1:
                ledger.set_tags(client, run_id, {ARM: arm})
                ledger.log_metrics(client, run_id, named)
                continue
            child_tags = {ledger.PARENT: run_id, ledger.RUN_NAME: arm, ARM: arm, ROLE: "arm", "domain": scored.domain}
            child = ledger.begin_run(client, experiment_id, child_tags, {ARM: arm})
            ledger.log_metrics(client, child, named)
            ledger.end_run(client, child, "FINISHED")
    except BaseException as error:
        ledger.end_run(client, run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    ledger.end_run(client, run_id, "FINISHED")
    return run_id


def fetch_scores(client: MlflowClient, run_id: str, cache: Path) -> RunScores:
    """Bring the scores of a run here: one that scored candidates, a roadmap's with all its arms, or one arm of either.

    A roadmap's are those of its social replies, each as the latest phase has it; without any, those of all domains.

    Raises:
        InputError: there is no such run, or it holds no scores.
        ArtifactError: the scores are missing or damaged.
        TrackingError: the store cannot be reached.
    """
    run = find_run(client, run_id, UNKNOWN)
    if run.data.tags.get(ROLE) == "arm" and ledger.PARENT in run.data.tags:
        parent = fetch_scores(client, run.data.tags[ledger.PARENT], cache)
        return RunScores(run.info.run_name or run_id, parent.folders, run.data.tags[ARM])
    folders = tuple(materialise(client, ref, cache) for ref in _score_refs(client, run))
    return RunScores(run.info.run_name or run_id, folders, None)


def _score_refs(client: MlflowClient, run: Run) -> list[ScoresRef]:
    if ledger.DIGEST in run.data.tags and ledger.INVALID not in run.data.tags:
        uri = f"{run.info.artifact_uri}/{OUTPUT}"
        return [ScoresRef(run_id=run.info.run_id, uri=uri, digest=run.data.tags[ledger.DIGEST])]
    named: dict[str, Any] = {}
    for listing in listed_phases(client, run.info.run_id).values():
        named |= listing  # a later phase's scores of an arm say more
    scores = {label: ref for label, ref in named.items() if isinstance(ref, ScoresRef)}
    found = [ref for label, ref in scores.items() if label.startswith(HOME)] or list(scores.values())
    if not found:
        raise InputError(f"run {run.info.run_id} holds no scores: give a roadmap's run or one that scored candidates")
    return found
