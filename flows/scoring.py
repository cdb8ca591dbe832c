"""`score` and `compare`: candidates made elsewhere, or the scores of tracked runs, to tables, files and an MLflow run."""

from __future__ import annotations

import contextlib
import math
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polymlops.errors import InputError

if TYPE_CHECKING:
    from polymlops.config.schema import ExperimentConfig
    from polymlops.evaluation.candidate_diversity import Encode
    from polymlops.evaluation.candidate_groups import CandidateGroup
    from polymlops.evaluation.candidate_scores import ArmValues
    from polymlops.evaluation.candidate_sources import Source
    from polymlops.report.score_table import ScoreTable

# A figure's curve is smooth with as many points; more would cost memory at n of thousands.
CURVE_POINTS = 64
RUN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Request:
    """What both commands take: see flows.score_options."""

    ks: tuple[int, ...]
    resamples: int
    seed: int
    tokenizer: str
    rarefied: int
    encoder: str | None
    out: str | None
    as_json: bool
    overrides: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScoreRequest(Request):
    """What `score` takes."""

    files: tuple[str, ...]
    pass_hat: bool
    threshold: float
    track: bool
    domain: str


@dataclass(frozen=True, slots=True)
class CompareRequest(Request):
    """What `compare` takes."""

    inputs: tuple[str, ...]
    reference: str | None
    metrics: tuple[str, ...]


def score_command(request: ScoreRequest) -> None:
    """Read, score, print; write and track where asked."""
    from flows.score_printing import print_scores
    from polymlops.evaluation.candidate_groups import candidate_groups
    from polymlops.evaluation.candidates import read_candidates
    from polymlops.report.score_notes import score_notes

    out = _folder(request.out)
    candidates = read_candidates([Path(file) for file in request.files])
    groups = candidate_groups(candidates)
    request = replace(request, ks=request.ks or _default_ks(groups))
    arms = _measure(groups, request, curves=True)
    table = _table(arms, request, groups)
    notes = score_notes(arms, groups, candidates.ignored)
    summary: dict[str, Any] = {"settings": settings_of(request, arms), "notes": list(notes)}
    with contextlib.ExitStack() as stack:
        folder = out
        if request.track and out is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if folder is not None:
            from polymlops.report.score_files import write_scores

            write_scores(table, candidates, arms, summary, folder)
        if request.track and folder is not None:
            summary["run_id"] = _track(request, summary["settings"], table, folder)
    print_scores(table.rows, summary | {"folder": str(out) if out else None}, request.as_json)


def compare_command(request: CompareRequest) -> None:
    """Bring all inputs together, compare the arms, print; write where asked."""
    import numpy as np

    from flows.score_printing import print_differences
    from polymlops.evaluation.candidate_groups import candidate_groups
    from polymlops.evaluation.candidate_scores import answered_by
    from polymlops.evaluation.candidate_sources import merge_sources
    from polymlops.report.arm_differences import arm_differences, check_same_prompts, difference_notes

    out = _folder(request.out)
    source = merge_sources(_sources(request))
    groups = candidate_groups(source.candidates)
    request = replace(request, ks=request.ks or _default_ks(groups))
    reference = _reference(request.reference, source.candidates.arms)
    check_same_prompts(answered_by(groups))  # before minutes of work on arms that do not compare
    arms = _measure(groups, request, recorded=source)
    metrics = _chosen(request, arms)
    rng = np.random.default_rng(request.seed)
    differences = arm_differences(arms, reference, metrics, rng, request.resamples)
    summary = {
        "settings": settings_of(request, arms) | {"reference": reference, "metrics": list(metrics)},
        "notes": list(difference_notes(arms, metrics)),
        "folder": str(out) if out else None,
    }
    if out is not None:
        from polymlops.report.score_files import write_json, write_rows

        write_rows(differences, out, "comparisons")
        write_json(out / "summary.json", summary)
    print_differences(differences, summary, request.as_json)


def settings_of(request: Request, arms: Sequence[ArmValues]) -> dict[str, Any]:
    """What a number depends on besides the candidates."""
    rarefied = [name for arm in arms for name in arm.diversity if name.startswith("rarefied")]
    return {
        "ks": list(request.ks),
        "resamples": request.resamples,
        "seed": request.seed,
        "level": 0.95,
        "tokenizer": request.tokenizer,
        "self_bleu": "order 4, smoothing method1",
        "rarefied_bigrams": int(rarefied[0].rpartition("_")[2]) if rarefied else None,
        "encoder": request.encoder,
    }


def _default_ks(groups: Sequence[CandidateGroup]) -> tuple[int, ...]:
    from polymlops.evaluation.candidate_scores import default_ks, largest_n

    return default_ks(largest_n(groups))


def _measure(
    groups: Sequence[CandidateGroup], request: Request, curves: bool = False, recorded: Source | None = None
) -> list[ArmValues]:
    from tqdm import tqdm

    from polymlops.evaluation.candidate_scores import ScoreSettings, score_groups

    ks = tuple(sorted({*request.ks, *(_curve_ks(groups) if curves else ())}))
    settings = ScoreSettings(ks, request.tokenizer, request.rarefied)
    encode = _encode(request.encoder)
    diversity = None if recorded is None else recorded.diversity
    texts = sum(len(group.prompts) for group in groups if group.texts is not None)
    with tqdm(total=texts, unit="prompt", desc="score", disable=None) as bar:
        return score_groups(groups, settings, encode, diversity, bar.update)


def _table(arms: Sequence[ArmValues], request: ScoreRequest, groups: Sequence[CandidateGroup]) -> ScoreTable:
    from polymlops.report.score_draws import TableSettings
    from polymlops.report.score_table import score_table

    settings = TableSettings(
        request.ks, request.resamples, request.seed, request.threshold, request.pass_hat, _curve_ks(groups)
    )
    return score_table(arms, settings)


def _curve_ks(groups: Sequence[CandidateGroup]) -> tuple[int, ...]:
    """Every k where there are few, else as many spread evenly on a logarithmic axis."""
    import numpy as np

    from polymlops.evaluation.candidate_scores import largest_n

    n = largest_n(groups)
    return (
        tuple(np.unique(np.round(np.geomspace(1, n, CURVE_POINTS)).astype(int)).tolist())
        if n > CURVE_POINTS
        else tuple(range(1, n + 1))
    )


def _encode(folder: str | None) -> Encode | None:
    if folder is None:
        return None
    if not Path(folder).is_dir():
        raise InputError(f"--encoder {folder}: no such folder; give one that sentence-transformers saved")
    from functools import partial

    from polymlops.models.encoder import embed, load_encoder

    return partial(embed, load_encoder(folder))


def _folder(out: str | None) -> Path | None:
    if out is None:
        return None
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            return Path(out)
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written ({error.strerror}); choose another folder") from None


def _config(request: Request) -> ExperimentConfig:
    from flows.environment import set_environment
    from polymlops.config.profiles import load_config

    config = load_config(overrides=request.overrides)
    set_environment(config)
    return config


def _track(request: ScoreRequest, settings: dict[str, Any], table: ScoreTable, folder: Path) -> str:
    from flows.commands import check_writable

    config = _config(request)
    check_writable(config.output_dir)
    from polymlops.tracking.manifest import file_digest
    from polymlops.tracking.scored_runs import EXPERIMENT, ScoredCandidates, log_scores
    from polymlops.tracking.store import artifact_folder, open_experiment, open_store, tracking_uri

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
    config = _config(request)
    from polymlops.evaluation.candidate_sources import only_arm, read_scored_folders
    from polymlops.tracking.scored_runs import fetch_scores
    from polymlops.tracking.store import database_file, open_store, tracking_uri

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
