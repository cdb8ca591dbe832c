"""The demo's data and base model for benchmarks: made once, kept under build/benchmarks by content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from polymlops.config.hashing import content_hash
from polymlops.config.schema import ExperimentConfig
from polymlops.data.preparation import prepare_dataset
from polymlops.records import Job

FOLDER = Path(__file__).parent.parent / "build" / "benchmarks"


def demo_inputs(config: ExperimentConfig) -> tuple[Path, Path]:
    """Folders of the base model and of the dataset of a config."""
    from polymlops.training.pretraining import build_base_model

    dataset = _made("dataset", content_hash(config.data), lambda job: prepare_dataset(config.data, job))
    key = content_hash(config.data, config.base_model)
    base = _made("base", key, lambda job: build_base_model(config.base_model, dataset, job))
    return base, dataset


def _made(name: str, key: str, make: Callable[[Job], object]) -> Path:
    folder = FOLDER / f"{name}-{key}"
    done = folder / "DONE"
    if not done.exists():
        for part in ("output", "scratch"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        make(Job(folder / "output", folder / "scratch", lambda metrics, step: None))
        done.touch()
    return folder / "output"
