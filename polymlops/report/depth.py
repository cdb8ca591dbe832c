"""Phase 2 on paper: GRPO's arms beside those that they start from, and what the reward cost in truth."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polymlops.config.slices import ReportSpec
from polymlops.errors import ArtifactError
from polymlops.figures.over_optimisation import OptimisationPath, over_optimisation_figure
from polymlops.figures.saving import save_figure
from polymlops.records import Job
from polymlops.report.core import write_core_results

LENGTH = "completions/mean_length"


def write_theoretical_depth(
    spec: ReportSpec, scores: Mapping[str, Path], adapters: Mapping[str, Path], job: Job
) -> dict[str, float]:
    """Write what `write_core_results` does, and proxy_and_gold (figure, JSON), to `job.output`.

    `scores` and `adapters` map "arm/seed" to folders; `adapters` are GRPO's, with dynamics.json and history.json. The
    figure is left out where no dynamics were measured. Returns and raises as `write_core_results`.
    """
    metrics = write_core_results(spec, scores, adapters, job)
    paths = [path for label, folder in adapters.items() if (path := read_path(label, folder)) is not None]
    rows = [
        {"arm": p.arm, "seed": p.seed, "kl": list(p.kl_M), "reward": list(p.proxy_M), "quality": list(p.gold_M)}
        for p in paths
    ]
    (job.output / "proxy_and_gold.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    if paths:
        save_figure(over_optimisation_figure(paths), job.output, "proxy_and_gold")
    return metrics


def read_path(label: str, folder: Path) -> OptimisationPath | None:
    """Proxy, gold and KL at each measurement of a GRPO run; none where nothing was measured.

    The KL of a measurement is that of the logged window that ends nearest to it, times the mean length; 0 at the start.

    Raises:
        ArtifactError: a file is missing.
    """
    points, history = (_read(label, folder / name) for name in ("dynamics.json", "history.json"))
    measured = [point for point in points["points"] if "reward" in point]
    if not measured:
        return None
    windows = [entry for entry in history if "kl" in entry]
    return OptimisationPath(
        points["arm"],
        points["seed"],
        [_kl_near(windows, point["step"]) for point in measured],
        [point["reward"] for point in measured],
        [point["quality"] for point in measured],
    )


def _kl_near(windows: Sequence[Mapping[str, float]], step: float) -> float:
    if step == 0 or not windows:
        return 0.0
    window = min(windows, key=lambda entry: abs(entry["step"] - step))
    return window["kl"] * window[LENGTH]


def _read(label: str, path: Path) -> Any:
    if not path.is_file():
        raise ArtifactError(f"the adapter {label} lacks {path.name}: train it again")
    return json.loads(path.read_text(encoding="utf-8"))
