"""The files of a trained adapter. Nothing in them depends on the machine, the folder, the process or the clock."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polymlops.models.loading import weights_digest
from polymlops.models.ranks import is_first
from polymlops.records import Job
from polymlops.training.gradient_norms import FILE as GRADIENTS
from polymlops.training.gradient_norms import collect_norms
from polymlops.training.history import without_timings


def save_adapter(trainer: Any, arm: str, seed: int, base: Path, job: Job, **about: Any) -> None:
    """Write the trainer's adapter, `adapter.json` (arm, seed, base, and what else is given), history and dynamics.

    Where gradient norms were recorded, they are beside them. Of processes that train together the first one writes.
    """
    if not is_first():
        return
    save_weights(trainer.model, job.output)
    points = [json.loads(path.read_text()) for path in sorted((job.scratch / "dynamics").glob("step-*.json"))]
    named = {"arm": arm, "seed": seed}
    _write(job.output / "adapter.json", {**named, "base_weights_sha256": weights_digest(base), **about})
    _write(job.output / "history.json", without_timings(trainer.state.log_history))
    _write(job.output / "dynamics.json", {**named, "points": points})
    norms = collect_norms(job.scratch)
    if norms:
        _write(job.output / GRADIENTS, norms)


def save_weights(model: Any, folder: Path) -> None:
    """Write a PEFT adapter's weights and config."""
    model.save_pretrained(folder, safe_serialization=True, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    # PEFT keeps the modules as a set, in an order that changes with the process, and fills in the base's folder.
    described = json.loads(path.read_text())
    _write(path, {**described, "base_model_name_or_path": None, "target_modules": sorted(described["target_modules"])})


def _write(path: Path, content: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True))
