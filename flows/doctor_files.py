"""The files that a config names: are they there, and of the right kind? Nothing is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from flows.checks import Check
from polymlops.config.base_models import EmbeddedModelConfig, FolderEncoderConfig, FolderModelConfig
from polymlops.config.ingest import FileSource, InteractionSource
from polymlops.config.judge import JudgeConfig, LocalJudgeConfig
from polymlops.config.schema import ExperimentConfig
from polymlops.errors import InputError

Look = Callable[[], str]


def check_files(config: ExperimentConfig) -> Iterator[Check]:
    """A line for each file or folder that is an input."""
    for name, look in _named(config):
        try:
            yield Check(name, "ok", look())
        except (InputError, OSError) as error:
            yield Check(name, "fail", str(error), f"correct it: --set {name}=PATH")


def _named(config: ExperimentConfig) -> Iterator[tuple[str, Look]]:
    if isinstance(config.data.source, FileSource):
        yield "data.source.path", _source(config.data.source.path)
    if isinstance(config.data.source, InteractionSource) and config.data.source.filters.toxicity is not None:
        model = config.data.source.filters.toxicity
        if model.revision is None:
            yield "data.source.filters.toxicity.model", _folder(Path(model.model))
    base = config.base_model
    if isinstance(base, FolderModelConfig):
        yield "base_model.path", _model(base.path, base.allow_pickle)
    if not isinstance(base, EmbeddedModelConfig) and isinstance(base.encoder, FolderEncoderConfig):
        yield "base_model.encoder.path", _folder(base.encoder.path)
    if config.code is not None:
        yield from _paths("code.suite.path", config.code.suite)
    if config.creative is not None:
        yield from _paths("creative.source.path", config.creative.source)
        for key in ("labelled_pairs", "ratings"):
            path = config.creative.model_dump()[key]
            if path is not None:
                yield f"creative.{key}", _there(Path(path))
        yield from _judge("creative.judge", config.creative.judge)
        yield from _judge("creative.second_judge", config.creative.second_judge)


def _paths(name: str, section: object) -> Iterator[tuple[str, Look]]:
    path = vars(section).get("path")
    if path is not None:
        yield name, _there(path)


def _judge(name: str, judge: JudgeConfig | None) -> Iterator[tuple[str, Look]]:
    if judge is not None and isinstance(judge.backend, LocalJudgeConfig):
        yield f"{name}.backend.path", _model(judge.backend.path, False)


def _source(path: Path) -> Look:
    def look() -> str:
        from polymlops.data.ingest_files import files_of

        files = files_of(path)
        size = sum(file.stat().st_size for file in files)
        return f"{path}: {len(files)} {'file' if len(files) == 1 else 'files'}, {size / 1e6:.1f} MB"

    return look


def _model(path: Path, allow_pickle: bool) -> Look:
    def look() -> str:
        from polymlops.models.weight_files import weight_files

        return f"{path}: {len(weight_files(path, allow_pickle))} weight files"

    return look


def _folder(path: Path) -> Look:
    def look() -> str:
        if not path.is_dir():
            raise InputError(f"{path}: no such folder")
        return str(path)

    return look


def _there(path: Path) -> Look:
    def look() -> str:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        return str(path)

    return look
