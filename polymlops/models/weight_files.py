"""The files of a model's folder: whether all are there and whole, of a kind that runs no code, and their digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from polymlops.errors import InputError

SAFE, PICKLED = "*.safetensors", "*.bin"
# What a model is made of; a folder may hold other things, and other formats of the same weights.
DESCRIBING = ("*.json", "*.txt", "*.model", "*.jinja")
INDEX_ENDING = ".index.json"
BLOCK = 2**20  # bytes


def weight_files(folder: Path, allow_pickle: bool) -> list[Path]:
    """The weight files of a model's folder, in order, all of them present and whole.

    Raises:
        InputError: no weights, a shard that is missing (it is named) or cut off, or pickled weights only.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder: name the one that holds config.json and the weights")
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no model here, config.json is missing: name the folder that holds it")
    _refuse_missing_shards(folder, f"{SAFE}{INDEX_ENDING}")
    safe = sorted(folder.glob(SAFE))
    if safe:
        for path in safe:
            _refuse_cut(path)
        return safe
    pickled = sorted(folder.glob(PICKLED))
    if not pickled:
        raise InputError(f"{folder}: no weights here: a file like model.safetensors is needed")
    if not allow_pickle:
        raise InputError(
            f"{folder}: {pickled[0].name} is pickled, which may run code when it is loaded: save the model with "
            "save_pretrained in a current transformers, or set base_model.allow_pickle=true if you trust its source"
        )
    _refuse_missing_shards(folder, f"{PICKLED}{INDEX_ENDING}")
    return pickled


def _refuse_missing_shards(folder: Path, pattern: str) -> None:
    for index in sorted(folder.glob(pattern)):
        try:
            named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, AttributeError) as error:
            raise InputError(f"{index}: not an index of shards: fetch it again") from error
        missing = sorted(name for name in named if not (folder / name).is_file())
        if missing:
            raise InputError(
                f"{folder}: shard {missing[0]} is missing ({len(missing)} of {len(named)}): fetch it again"
            )


def _refuse_cut(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            pass
    except SafetensorError as error:
        raise InputError(f"{path}: cut off or damaged ({error}): fetch it again") from error


def weights_digest(folder: Path) -> str:
    """sha256 of the weight files in a folder, by which an adapter names its base."""
    return _digest(sorted(folder.glob(SAFE)) or sorted(folder.glob(PICKLED)))


def content_digest(folder: Path) -> str:
    """sha256 over the names and contents of all files of a model's folder, subfolders included.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder: check the path, which counts from where the command is run")
    found = sorted({path for pattern in (*DESCRIBING, SAFE, PICKLED) for path in folder.rglob(pattern)})
    named = [(path.relative_to(folder).as_posix(), _digest([path])) for path in found if path.is_file()]
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()


def _digest(paths: Iterable[Path]) -> str:
    states = [(path, path.stat()) for path in paths]
    return _digest_of(tuple((path, state.st_size, state.st_mtime_ns) for path, state in states))


@cache
def _digest_of(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Of files as they are now: gigabytes are read once a process."""
    digest = hashlib.sha256()
    for path, _, _ in files:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()
