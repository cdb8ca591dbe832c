"""`evaluate`: one model, sampled on a domain, scored and reported; a killed call goes on where it was."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.evaluate_request import EvaluateRequest
from flows.score_requests import writable_folder
from polymlops.config.hashing import content_hash

if TYPE_CHECKING:
    from flows.evaluate_domains import Evaluation
    from polymlops.config.schema import ExperimentConfig
    from polymlops.tracking.named_models import ModelStore, NamedModel
    from polymlops.tracking.records import TableRow

CACHE = "fetched"  # of a model that lies elsewhere, in the output folder


def evaluate_command(request: EvaluateRequest) -> None:
    """Find the model, sample, score; write samples, scores and the table to `--out`, and print the table."""
    from flows.environment import set_environment
    from flows.printing import print_table_rows, read_notes

    config = request.config()
    out = writable_folder(request.out)
    assert out is not None
    set_environment(config)
    from flows.evaluate_domains import DOMAINS

    with contextlib.redirect_stdout(sys.stderr):
        evaluation = _evaluation(request, config, out)
        evaluation.steps.begin()
        metrics = DOMAINS[request.domain](evaluation)
        rows, notes = _table(request, out)
    (out / "metrics.json").write_text(json.dumps(metrics, indent=1), encoding="utf-8")
    evaluation.steps.end()
    summary = {
        "model": evaluation.model.name,
        "domain": request.domain,
        **_asked(request, evaluation),
        "folder": str(out),
        "metrics": metrics,
        "notes": [*read_notes(out / "report"), *notes],
    }
    print_table_rows(rows, summary, request.as_json)


def _evaluation(request: EvaluateRequest, config: ExperimentConfig, out: Path) -> Evaluation:
    from flows.evaluate_domains import Evaluation
    from flows.evaluate_steps import Steps
    from polymlops.tracking.addresses import tracking_uri
    from polymlops.tracking.named_models import ModelStore, find_reward, whole_model

    folder = config.output_dir.resolve()
    store: ModelStore = ModelStore(tracking_uri(config.tracking.uri, folder), folder / CACHE)
    model = whole_model(request.model, request.adapter, store)
    reward = find_reward(request.reward, store) if request.reward is not None else None
    return Evaluation(request, config, model, reward, Steps(out, _key(request, config, model, reward)))


def _key(request: EvaluateRequest, config: ExperimentConfig, model: NamedModel, reward: Path | None) -> str:
    """What the result depends on: the model by its weights, the settings by their values."""
    from polymlops.data.ingest_files import pinned
    from polymlops.models.loading import weights_digest
    from polymlops.models.references import read_reference
    from polymlops.models.weight_files import content_digest, weight_files

    assert model.base is not None
    if read_reference(model.base) is None:
        weight_files(model.base, allow_pickle=True)  # one that lacks a shard has no digest
    weights = [weights_digest(folder) for folder in (model.base, model.adapter) if folder is not None]
    judged = content_digest(reward) if reward is not None else None
    asked: dict[str, Any] = vars(request) | {"out": None, "as_json": None, "workers": None, "overrides": None}
    settings = config.model_copy(update={"data": pinned(config.data)})
    return content_hash(asked, weights, judged, settings)


def _asked(request: EvaluateRequest, evaluation: Evaluation) -> dict[str, str]:
    """Where the prompts came from, in words."""
    from polymlops.data.suites import load_suite

    if request.domain == "code":
        return {"suite": load_suite(request.suite_section).source}
    if request.domain == "creative":
        return {"prompts": evaluation.request.creative(evaluation.config).source.kind}
    return {"data": evaluation.config.data.source.kind}


def _table(request: EvaluateRequest, out: Path) -> tuple[tuple[TableRow, ...], list[str]]:
    """The rows of the report with the collapse point, and what must be said beside them."""
    from flows.evaluate_collapse import collapse_row
    from polymlops.tracking.tables import read_table

    rows = read_table(out / "report")
    collapse, note = collapse_row(out / "scores", request.resamples)
    opinion = ["quality is what the reward model says of replies, as a share of human ones: an opinion, no truth"]
    return (*rows, *collapse), [note, *(opinion if _is_opinion(out / "scores") else [])]


def _is_opinion(scores: Path) -> bool:
    import polars as pl

    from polymlops.evaluation.social_reward import VERSION

    frame = pl.read_parquet(scores / "scores.parquet")
    return "quality_version" in frame.columns and set(frame["quality_version"]) == {VERSION}
