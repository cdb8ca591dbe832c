"""What `score` and `compare` share: what they take, where they write, and how candidates are measured."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polymlops.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from polymlops.config.schema import ExperimentConfig
    from polymlops.evaluation.candidate_diversity import Encode
    from polymlops.evaluation.candidate_groups import CandidateGroup
    from polymlops.evaluation.candidate_scores import ArmValues, ScoreSettings

# A chance gains .01 a candidate at most 100 times: no collapse point of the default threshold lies beyond.
EVERY_K, SPARSE = 100, 32


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


def default_ks_of(groups: Sequence[CandidateGroup]) -> tuple[int, ...]:
    """1, 2, 5, 10, ... up to the largest number of candidates of a prompt."""
    from polymlops.evaluation.candidate_scores import default_ks, largest_n

    return default_ks(largest_n(groups))


def measure(
    groups: Sequence[CandidateGroup], request: Request, settings: ScoreSettings, recorded: pl.DataFrame | None = None
) -> list[ArmValues]:
    """Every metric of every arm, under a progress bar; `recorded` is the diversity of candidates without texts."""
    from tqdm import tqdm

    from polymlops.evaluation.candidate_scores import score_groups

    encode = _encode(request.encoder)
    texts = sum(len(group.prompts) for group in groups if group.texts is not None)
    with tqdm(total=texts, unit="prompt", desc="score", disable=None) as bar:
        return score_groups(groups, settings, encode, recorded, bar.update)


def curve_ks(groups: Sequence[CandidateGroup]) -> tuple[int, ...]:
    """Where figures draw: every k up to 100, then evenly on a logarithmic axis."""
    import numpy as np

    from polymlops.evaluation.candidate_scores import largest_n

    n = largest_n(groups)
    beyond = np.geomspace(EVERY_K, n, SPARSE).round().astype(int).tolist() if n > EVERY_K else []
    return (*range(1, min(n, EVERY_K) + 1), *dict.fromkeys(beyond[1:]))


def _encode(folder: str | None) -> Encode | None:
    if folder is None:
        return None
    if not Path(folder).is_dir():
        raise InputError(f"--encoder {folder}: no such folder; give one that sentence-transformers saved")
    from functools import partial

    from polymlops.models.encoder import embed, load_encoder

    return partial(embed, load_encoder(folder))


def writable_folder(out: str | None) -> Path | None:
    """The folder of `--out`, made; none where it is not given. Raises InputError where it cannot be written."""
    if out is None:
        return None
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            return Path(out)
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written ({error.strerror}); choose another folder") from None


def store_config(request: Request) -> ExperimentConfig:
    """The config that says where the tracking store is, with the environment set before MLflow is imported."""
    from flows.environment import set_environment
    from polymlops.config.profiles import load_config

    config = load_config(overrides=request.overrides)
    set_environment(config)
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # of a store's first use
    return config
