"""`compare`: paired statistics between the arms of files of candidates and of tracked runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flows.score_requests import Request, default_ks_of, measure, settings_of, store_config, writable_folder
from polymlops.errors import InputError

if TYPE_CHECKING:
    from polymlops.evaluation.candidate_scores import ArmValues
    from polymlops.evaluation.candidate_sources import Source

RUN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class CompareRequest(Request):
    """What `compare` takes."""

    inputs: tuple[str, ...]
    reference: str | None
    metrics: tuple[str, ...]


def compare_command(request: CompareRequest) -> None:
    """Bring all inputs together, compare the arms, print; write where asked."""
    import numpy as np

    from flows.score_printing import print_differences
    from polymlops.evaluation.candidate_groups import candidate_groups
    from polymlops.evaluation.candidate_scores import ScoreSettings, answered_by
    from polymlops.evaluation.candidate_sources import merge_sources
    from polymlops.report.arm_differences import arm_differences, check_same_prompts, difference_notes

    out = writable_folder(request.out)
    source = merge_sources(_sources(request))
    groups = candidate_groups(source.candidates)
    request = replace(request, ks=request.ks or default_ks_of(groups))
    reference = _reference(request.reference, source.candidates.arms)
    check_same_prompts(answered_by(groups))  # before minutes of work on arms that do not compare
    settings = ScoreSettings(request.ks, request.tokenizer, request.rarefied)
    arms = measure(groups, request, settings, source.diversity)
    metrics = _chosen(request, arms)
    rng = np.random.default_rng(request.seed)
    differences = arm_differences(arms, reference, metrics, rng, request.resamples)
    summary = {
        "settings": settings_of(request, arms) | {"reference": reference, "metrics": list(metrics)},
        "notes": list(difference_notes(arms, source.diversity is not None)),
        "folder": str(out) if out else None,
    }
    if out is not None:
        from polymlops.report.json_files import write_json
        from polymlops.report.score_files import write_rows

        write_rows(differences, out, "comparisons")
        write_json(out / "summary.json", summary)
    print_differences(differences, summary, request.as_json)


def _sources(request: CompareRequest) -> list[Source]:
    """Every input in order; what is no file and looks like a run's id is looked for in the tracking store."""
    from polymlops.evaluation.candidate_files import arm_of
    from polymlops.evaluation.candidate_sources import Source
    from polymlops.evaluation.candidates import read_candidates

    twice = sorted({item for item in request.inputs if request.inputs.count(item) > 1})
    if twice:
        raise InputError(f"{twice[0]}: given twice; a comparison needs different inputs")
    sources = []
    for item in request.inputs:
        if RUN_ID.fullmatch(item) and not Path(item).exists():
            sources.append(_source_of_run(request, item))
        else:
            sources.append(Source(arm_of(Path(item)), read_candidates([Path(item)])))
    return sources


def _source_of_run(request: CompareRequest, run_id: str) -> Source:
    config = store_config(request)
    from polymlops.evaluation.candidate_sources import only_arm, read_scored_folders
    from polymlops.tracking.addresses import database_file, tracking_uri
    from polymlops.tracking.scored_runs import fetch_scores
    from polymlops.tracking.store import open_store

    uri = tracking_uri(config.tracking.uri, config.output_dir)
    file = database_file(uri)
    if file is not None and not file.is_file():
        raise InputError(
            f"{run_id}: no such file, and no tracking store at {uri}; name one with --set tracking.uri=URI"
        )
    found = fetch_scores(open_store(uri), run_id, config.output_dir.resolve() / "cache")
    source = read_scored_folders(run_id[:8], found.folders)
    return source if found.arm is None else only_arm(source, found.arm)


def _reference(named: str | None, arms: Sequence[str]) -> str:
    if len(arms) < 2:
        raise InputError(f"only one arm, {arms[0]}: a comparison needs two")
    if named is not None and named not in arms:
        raise InputError(f"--reference {named}: no such arm; there are {', '.join(arms)}")
    return named or arms[0]


def _chosen(request: CompareRequest, arms: Sequence[ArmValues]) -> tuple[str, ...]:
    from polymlops.report.arm_differences import shared_metrics

    shared = shared_metrics(arms, request.ks)
    unknown = [name for name in request.metrics if name not in shared]
    if unknown or not shared:
        what = f"--metric {unknown[0]}: not" if unknown else "no metric is"
        raise InputError(
            f"{what} shared by all arms; there are {', '.join(shared) or 'none: score passed, quality or texts'}"
        )
    return request.metrics or shared
