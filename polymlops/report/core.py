"""Phase 1 on paper: the four baselines on one domain, as figures, a table and paired comparisons."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from polymlops.config.slices import ReportSpec
from polymlops.errors import ArtifactError, MetricError
from polymlops.figures.curves import Curve, curves_figure
from polymlops.figures.dynamics import Trajectory, dynamics_figure
from polymlops.figures.frontier import DIVERSITY, QUALITY, Axis, FrontierPoint, front_shares, frontier_figure
from polymlops.figures.saving import save_figure
from polymlops.metrics.collapse_point import collapse_point
from polymlops.records import Estimate, Job
from polymlops.report.comparisons import Comparison, compare, comparison_pairs
from polymlops.report.estimates import PooledArm, estimate_means, joint_draws
from polymlops.report.json_files import NOTES, write_json
from polymlops.report.score_notes import unjudged_note
from polymlops.report.scores import ArmScores, better, check_comparable, metrics_by_prompt, read_scores

if TYPE_CHECKING:
    from polymlops.metrics.arrays import Floats

Table = dict[str, dict[str, Estimate]]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a domain is reported: the frontier's axes, what an intent is called there, which arms are compared.

    Metrics whose name starts as one of `left_out` say what another one of the domain says.
    """

    axes: tuple[str, str]
    titles: tuple[Axis, Axis]
    intents: str = "intents"
    left_out: tuple[str, ...] = ()
    pairs: Callable[[Sequence[str]], list[tuple[str, str]]] = comparison_pairs

    def named(self, values: Mapping[str, Floats]) -> dict[str, Floats]:
        """The metrics under the domain's names."""
        kept = {name: value for name, value in values.items() if not name.startswith(self.left_out or ("\0",))}
        return {name.replace("intents", self.intents): value for name, value in kept.items()}


SOCIAL = Layout(("quality", "semantic_diversity"), (QUALITY, DIVERSITY))


def write_core_results(
    spec: ReportSpec, scores: Mapping[str, Path], adapters: Mapping[str, Path], job: Job, layout: Layout = SOCIAL
) -> dict[str, float]:
    """Write figures, table.json, table.csv, comparisons.json and dynamics_data.json to `job.output`.

    `scores` and `adapters` map "arm/seed" to folders: scores.parquet and diversity.parquet of a sample set,
    dynamics.json of an adapter. Without any measured dynamics there is no diversity_trajectory_plot, without
    adapters no dynamics_data.json either, and no pareto_frontier where no arm has values on both axes; notes.json is
    there where candidates could not be judged. Returns
    `<domain>/<arm>/<metric>` and `<domain>/<arm>_minus_<reference>/<metric>`, each also with `_low` and `_high`, and
    `<domain>/<arm>/on_pareto_front`, the share of the resamples in which the arm is there.

    Raises: MetricError where arms differ in prompts, candidates or metrics (they are named), or an arm of `spec` has no
    scores; ArtifactError where a file is missing.
    """
    arms = _read_arms(spec, scores)
    notes = unjudged_notes([run for runs in arms.values() for run in runs])
    if notes:
        write_json(job.output / NOTES, notes)
    pooled = {arm: _pool(runs, spec.ks, layout) for arm, runs in arms.items()}
    trajectories = _read_trajectories(spec, adapters)
    if adapters:
        _write_dynamics(trajectories, job.output)
    _write_curves(spec, arms, job.output)
    table = _table(spec, pooled)
    on_front = _write_frontier(spec, pooled, table, layout, job.output)
    comparisons = _comparisons(spec, pooled, layout)
    _write_table(pooled, table, job.output)
    write_json(
        job.output / "comparisons.json", [asdict(item) | {"better": better(item.metric)} for item in comparisons]
    )
    return _flat(spec, table, comparisons, on_front)


def _read_arms(spec: ReportSpec, scores: Mapping[str, Path]) -> dict[str, list[ArmScores]]:
    """Arm -> its runs by seed, in the order of the spec."""
    runs = [read_scores(label, scores[label]) for label in sorted(scores)]
    given = {run.arm for run in runs}
    if given != set(spec.arms):
        raise MetricError(f"scores are of {', '.join(sorted(given)) or 'no arm'}, the table of {', '.join(spec.arms)}")
    check_comparable(runs)
    short = [k for k in spec.ks if k > runs[0].n]
    if short:
        raise MetricError(f"k = {short[0]} is above the {runs[0].n} candidates a prompt: sample more or ask for less")
    return {arm: sorted((r for r in runs if r.arm == arm), key=lambda run: run.seed) for arm in spec.arms}


def _pool(runs: Sequence[ArmScores], ks: Sequence[int], layout: Layout) -> PooledArm:
    by_run = [layout.named(metrics_by_prompt(run, ks)) for run in runs]
    values_SP = {metric: np.stack([values[metric] for values in by_run]) for metric in by_run[0]}
    return PooledArm(runs[0].arm, tuple(run.seed for run in runs), values_SP)


def _table(spec: ReportSpec, pooled: Mapping[str, PooledArm]) -> Table:
    metrics = list(next(iter(pooled.values())).values_SP)
    tables_SPM = {arm: values.table_SPM(metrics) for arm, values in pooled.items()}
    draws = joint_draws(tables_SPM, np.random.default_rng([spec.seed, 0]), spec.resamples)
    return {
        arm: dict(zip(metrics, estimate_means(table_SPM, draws[arm]), strict=True))
        for arm, table_SPM in tables_SPM.items()
    }


def _comparisons(spec: ReportSpec, pooled: Mapping[str, PooledArm], layout: Layout) -> list[Comparison]:
    rng = np.random.default_rng([spec.seed, 1])
    pairs = layout.pairs(spec.arms)
    return [row for arm, other in pairs for row in compare(pooled[arm], pooled[other], rng, spec.resamples)]


def _write_curves(spec: ReportSpec, arms: Mapping[str, Sequence[ArmScores]], folder: Path) -> None:
    ks = np.arange(1, next(iter(arms.values()))[0].n + 1)
    # A curve is of the same prompts at every k: of those whose candidates are all judged.
    values_SPM = {
        arm: np.stack([np.where(run.all_judged_P[:, None], run.pass_at_k(ks), np.nan) for run in runs])
        for arm, runs in arms.items()
    }
    draws = joint_draws(values_SPM, np.random.default_rng([spec.seed, 2]), spec.resamples)
    curves = []
    for arm, array_SPM in values_SPM.items():
        if np.isnan(array_SPM).any(axis=(0, 2)).all():
            continue  # not one prompt without a harness error
        points = dict(zip(ks.tolist(), estimate_means(array_SPM, draws[arm]), strict=True))
        collapse = collapse_point({k: point.value for k, point in points.items()})
        curves.append(Curve(arm, "pass@k", points, collapse.k))
    if curves:
        save_figure(curves_figure(curves), folder, "pass_at_k")


def unjudged_notes(runs: Sequence[ArmScores]) -> list[str]:
    """One sentence for each run with candidates that the harness could not judge: how many, and why."""
    return [
        f"{run.label}: {unjudged_note(int((~run.judged_PK).sum()), int((~run.all_judged_P).sum()), run.reasons)}"
        for run in runs
        if not run.judged_PK.all()
    ]


def _write_frontier(
    spec: ReportSpec, pooled: Mapping[str, PooledArm], table: Table, layout: Layout, folder: Path
) -> dict[str, float]:
    x, y = layout.axes
    axes_SPM = {arm: values.table_SPM(layout.axes) for arm, values in pooled.items()}
    clouds: dict[str, Floats] = joint_draws(axes_SPM, np.random.default_rng([spec.seed, 3]), min(spec.resamples, 2000))
    # An arm of which nothing can be compared has no place in the figure.
    defined = [arm for arm in pooled if not np.isnan(clouds[arm]).any()]
    points = [FrontierPoint(arm, table[arm][x], table[arm][y], clouds[arm]) for arm in defined]
    if not points:
        return dict.fromkeys(pooled, math.nan)
    save_figure(frontier_figure(points, *layout.titles), folder, "pareto_frontier")
    return dict.fromkeys(pooled, math.nan) | front_shares(points)


def _read_trajectories(spec: ReportSpec, adapters: Mapping[str, Path]) -> list[Trajectory]:
    """What was measured during training, in the order of the spec's arms; runs without a measurement are left out."""
    found = []
    for label, folder in adapters.items():
        path = folder / "dynamics.json"
        if not path.is_file():
            raise ArtifactError(f"the adapter {label} lacks {path.name}: train it again")
        data = json.loads(path.read_text(encoding="utf-8"))
        found.append(Trajectory(data["arm"], data["seed"], tuple(data["points"])))
    order: list[str] = list(spec.arms)
    return sorted((run for run in found if run.points), key=lambda run: (order.index(run.arm), run.seed))


def _write_dynamics(trajectories: Sequence[Trajectory], folder: Path) -> None:
    runs = [{"arm": run.arm, "seed": run.seed, "points": list(run.points)} for run in trajectories]
    write_json(folder / "dynamics_data.json", {"trajectories": runs})
    if trajectories:
        save_figure(dynamics_figure(trajectories), folder, "diversity_trajectory_plot")


def _write_table(pooled: Mapping[str, PooledArm], table: Table, folder: Path) -> None:
    rows = [
        {"arm": arm, "metric": metric, "better": better(metric)}
        | asdict(estimate)
        | {"undefined": pooled[arm].values_SP[metric].shape[1] - estimate.n, "seeds": len(pooled[arm].seeds)}
        for arm, estimates in table.items()
        for metric, estimate in estimates.items()
    ]
    write_json(folder / "table.json", rows)
    pl.DataFrame(rows).fill_nan(None).write_csv(folder / "table.csv")


def _flat(
    spec: ReportSpec, table: Table, comparisons: Sequence[Comparison], on_front: Mapping[str, float]
) -> dict[str, float]:
    named = {f"{arm}/{metric}": estimate for arm, row in table.items() for metric, estimate in row.items()}
    named |= {f"{item.arm}_minus_{item.reference}/{item.metric}": item.difference for item in comparisons}
    flat = {f"{spec.domain}/{arm}/on_pareto_front": share for arm, share in on_front.items()}
    for name, estimate in named.items():
        flat[f"{spec.domain}/{name}"] = estimate.value
        flat[f"{spec.domain}/{name}_low"] = estimate.low
        flat[f"{spec.domain}/{name}_high"] = estimate.high
    return flat
