"""The stage that puts predictions of theory beside what sample sets and training logs show, for every arm and seed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from polymlops.analysis.theory import (
    TIGHT,
    EntropyLaw,
    Prediction,
    TheoryReport,
    check_best_of_n_kl,
    check_der_bounds,
    entropy_law_of,
    predict_pass_at_k,
    predict_usq_gain,
)
from polymlops.analysis.theory_predictions import ROUNDING
from polymlops.config.analysis import TheorySpec
from polymlops.errors import ArtifactError, InputError
from polymlops.figures.saving import save_figure
from polymlops.figures.theory import theory_figure
from polymlops.metrics.pass_at_k import pass_at_k
from polymlops.metrics.statistics import bootstrap_mean
from polymlops.records import Estimate, Job
from polymlops.report.analysis_files import by_arm, split_label, write_table
from polymlops.report.json_files import write_json
from polymlops.report.scores import ArmScores, only_judged, read_scores

# The selector whose prediction is drawn, the first that there is; the table has all.
DRAWN = ("reward", "logprob")
Row = dict[str, Any]


def check_theory(
    spec: TheorySpec, scores: Mapping[str, Path], adapters: Mapping[str, Path], job: Job
) -> dict[str, float]:
    """Write theory.json (predictions, fitted laws, failures in words), theory.csv/parquet and the figure theory.

    `scores` and `adapters` map "arm/seed" to folders; of adapters those are read whose history.json has a reward, as
    GRPO's. The figure shows each arm's first seed. Returns `theory/<theory>/holds_share` over all predictions that can
    be judged, and for each law `theory/<arm>/<seed>/entropy_law_a`.

    Raises: InputError without scores, ArtifactError where a history is missing; MetricError as in `read_scores`.
    """
    if not scores:
        raise InputError("no scores to test theory on: name at least one sample set as arm/seed")
    arms = by_arm(list(scores))
    rows: list[Row] = []
    drawn: dict[str, list[Prediction]] = {}
    laws = {label: law for label, folder in adapters.items() if (law := _law(label, folder)) is not None}
    for index, label in enumerate(f"{arm}/{seed}" for arm, seeds in arms.items() for seed in seeds):
        arm, seed = split_label(label)
        judged = only_judged(read_scores(label, scores[label]))
        shown, table = _of_scores(spec, judged, np.random.default_rng([spec.seed, index]))
        rows += [{"arm": arm, "seed": seed, **row} for row in table]
        drawn.setdefault(arm, shown)
    for label, law in laws.items():
        arm, seed = split_label(label)
        rows += [{"arm": arm, "seed": seed, "selector": None, **prediction.row()} for prediction in law.predictions]
        if seed == arms.get(arm, [seed])[0]:
            drawn[arm] = [*drawn.get(arm, []), *law.predictions]
    _write(rows, laws, job.output)
    save_figure(theory_figure([TheoryReport(arm, tuple(p)) for arm, p in drawn.items()]), job.output, "theory")
    return _metrics(rows, laws)


def best_of_n_kl(scores: ArmScores, ns: Sequence[int], rng: np.random.Generator) -> list[Prediction]:
    """KL of best-of-n by true quality, by the formula, beside the exact KL; means over prompts.

    The policy is the prompt's stored candidates, one as likely as another. Among candidates of one quality best-of-n
    leaves the policy as it is, so that the distribution of quality is all that the KL depends on.
    """
    by_prompt = []
    for quality_K in scores.quality_PK:
        values, count = np.unique(quality_K, return_counts=True)
        by_prompt.append(check_best_of_n_kl(count / count.sum(), values, ns))
    found = []
    for same_n in zip(*by_prompt, strict=True):
        formula = same_n[0].predicted.value
        residual = bootstrap_mean(np.array([prediction.residual.value for prediction in same_n]), rng)
        holds = abs(residual.value) <= TIGHT * formula + ROUNDING
        tied = f"{sum(not prediction.holds for prediction in same_n)} of {len(same_n)} prompts"
        reason = "within 5 % of the exact KL" if holds else f"an upper bound only: candidates tie in quality for {tied}"
        predicted, measured = Estimate(formula, 0.0, formula), formula + residual.value
        found.append(Prediction(same_n[0].theory, same_n[0].at, predicted, measured, residual, holds, reason))
    return found


def _of_scores(spec: TheorySpec, scores: ArmScores, rng: np.random.Generator) -> tuple[list[Prediction], list[Row]]:
    """What is drawn of an arm, and all rows, each with the selector that it is about."""
    passed_P = scores.passed_PK.sum(axis=1)
    common = list(predict_pass_at_k(scores.n, passed_P, spec.ks, rng, spec.resamples))
    possible = [k for k in sorted({1, *spec.ks}) if k <= scores.n]
    common += check_der_bounds({k: float(pass_at_k(scores.n, passed_P, k).mean()) for k in possible})
    if len(possible) > 1:
        common += best_of_n_kl(scores, possible[1:], rng)
    gains = {
        name: predict_usq_gain(scores.quality_PK, selector_PK, spec.ks, rng)
        for name, selector_PK in scores.selectors_PK.items()
        if np.isfinite(selector_PK).all()
    }
    table: list[Row] = [{"selector": None, **prediction.row()} for prediction in common]
    table += [{"selector": name, **prediction.row()} for name, found in gains.items() for prediction in found]
    chosen = next((name for name in (*DRAWN, *gains) if name in gains), None)
    return [*common, *(gains[chosen] if chosen else ())], table


def _law(label: str, adapter: Path) -> EntropyLaw | None:
    """The entropy-reward law of a run that has a reward; None for one that has not."""
    path = adapter / "history.json"
    if not path.is_file():
        raise ArtifactError(f"the adapter {label} lacks {path.name}: train it again")
    history = json.loads(path.read_text(encoding="utf-8"))
    return entropy_law_of(history) if any("reward" in entry for entry in history) else None


def _write(rows: Sequence[Row], laws: Mapping[str, EntropyLaw], folder: Path) -> None:
    failures = [
        f"{row['arm']}/{row['seed']}, {row['theory']} at {row['at']:g}: predicted {_said(row)}, measured "
        f"{row['measured']:.3f}; {row['reason']}"
        for row in rows
        if row["holds"] is False
    ]
    described = {
        "predictions": list(rows),
        "entropy_laws": {label: law.row() for label, law in laws.items()},
        "failures": failures,
    }
    write_json(folder / "theory.json", described)
    write_table(rows, folder, "theory")


def _said(row: Row) -> str:
    predicted = Estimate(row["predicted"], row["predicted_low"], row["predicted_high"])
    if math.isnan(predicted.value):
        return f"{predicted.low:.3f} to {predicted.high:.3f}"
    return f"{predicted.value:.3f}"


def _metrics(rows: Sequence[Row], laws: Mapping[str, EntropyLaw]) -> dict[str, float]:
    flat: dict[str, float] = {}
    for theory in dict.fromkeys(row["theory"] for row in rows):
        judged = [row["holds"] for row in rows if row["theory"] == theory and row["holds"] is not None]
        name = "".join(letter if letter.isalnum() else "_" for letter in theory)
        flat[f"theory/{name}/holds_share"] = float(np.mean(judged)) if judged else math.nan
    for label, law in laws.items():
        flat[f"theory/{label}/entropy_law_a"] = law.a.value
        flat[f"theory/{label}/entropy_law_r_squared"] = law.r_squared
    return flat
