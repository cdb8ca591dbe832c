"""PEFT LoRA adapters as they lie in a folder: which modules they change, with which factors and scaling.

    W' x = W x + s B A x,   s = alpha / r, or alpha / sqrt(r) with rsLoRA

`A` is (r, in) and `B` (out, r) for every kind of module: an embedding reads its one-hot input, a convolution its
unrolled patch, and the transposed linear layers of GPT-2 are turned around. DoRA adds a magnitude for each output.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polymlops.analysis.lora_tensors import ArrayTensors, Tensors, open_folder
from polymlops.errors import InputError
from polymlops.metrics.arrays import Floats

PREFIX = "base_model.model."
FACTORS = {"lora_A.weight": "lora_B.weight", "lora_embedding_A": "lora_embedding_B"}
MAGNITUDES = ("lora_magnitude_vector.weight", "lora_magnitude_vector")
# Variants whose change of the weights is not s B A, by their key in the config.
UNSUPPORTED = ("target_parameters", "use_qalora", "use_bdlora", "arrow_config", "kasa_config", "monteclora_config")
# Initialisations that take the first B A out of the base weights, so that a stored base is not the one adapted.
CHANGED_BASES = ("pissa", "olora", "corda", "mica", "loftq", "lora_ga")

Resolver = Callable[[str], Path]


@dataclass(frozen=True, slots=True)
class AdapterState:
    """An adapter in memory: the content of adapter_config.json, and its tensors by PEFT's names (numpy arrays)."""

    config: Mapping[str, Any]
    tensors: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a module sits: the stack of layers, the layer's index in it (None outside a stack), its name there."""

    stack: str
    layer: int | None
    module: str


@dataclass(frozen=True, slots=True)
class LoraModule:
    """One adapted module; `read_a`, `read_b` and `read_magnitude` give its tensors when they are needed."""

    path: str
    place: Place
    rank: int
    alpha: float
    scaling: float
    transposed: bool
    tensors: Tensors
    key_a: str
    key_b: str
    key_magnitude: str | None

    def read_a(self) -> Floats:
        """A as (r, in)."""
        return self.tensors.read(self.key_a).astype(np.float64).reshape(self.rank, -1)

    def read_b(self) -> Floats:
        """B as (out, r)."""
        return self.tensors.read(self.key_b).astype(np.float64).reshape(-1, self.rank)

    def read_magnitude(self) -> Floats:
        """DoRA's magnitudes, one an output."""
        if self.key_magnitude is None:
            raise InputError(f"{self.path}: the config says DoRA, but there is no magnitude vector; save it again")
        return self.tensors.read(self.key_magnitude).astype(np.float64).ravel()

    @property
    def shape(self) -> tuple[int, int]:
        """(out, in) of the module's weight."""
        a, b = self.tensors.shape(self.key_a), self.tensors.shape(self.key_b)
        return math.prod(b) // self.rank, math.prod(a) // self.rank


@dataclass(frozen=True, slots=True)
class Adapter:
    """A readable adapter.

    `base_differs` says why a stored base is not the one that it changes, None where it is. `others` names tensors that
    were trained besides the factors (biases, `modules_to_save`).
    """

    name: str
    dora: bool
    base_differs: str | None
    modules: tuple[LoraModule, ...]
    others: tuple[str, ...]


def open_adapter(source: Path | str | AdapterState, resolve: Resolver | None = None) -> Adapter:
    """An adapter from a folder, from memory, or from what `resolve` turns into a folder (default: a hub id).

    Raises: InputError for a folder without an adapter, weights as .bin, another kind of adapter than LoRA, or factors
    that do not fit each other.
    """
    if isinstance(source, AdapterState):
        return _adapter("memory", source.config, ArrayTensors(source.tensors))
    folder = Path(source)
    if not folder.is_dir():
        if isinstance(source, Path):
            raise InputError(f"{source}: no such folder")
        folder = (resolve or hub_folder)(source)
    about = folder / "adapter_config.json"
    if not about.is_file():
        raise InputError(f"{folder}: no PEFT adapter here (adapter_config.json is missing)")
    try:
        config = json.loads(about.read_text())
    except ValueError as error:
        raise InputError(f"{about}: not readable as JSON ({error}); save the adapter again") from error
    return _adapter(str(source), config, open_folder(folder, "adapter_model"))


def hub_folder(name: str, revision: str | None = None, cache: Path | None = None) -> Path:
    """Download an adapter `owner/name` from the hub, or find it in the cache, and return its folder.

    Raises: InputError where `name` is no hub id, or the hub and the cache do not have it.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise InputError(f"{name}: neither a folder nor a hub id (owner/name); for a registry URI pass its resolver")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        wanted = ["adapter_config.json", "adapter_model*"]
        return Path(snapshot_download(name, revision=revision, cache_dir=cache, allow_patterns=wanted))
    except (HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise InputError(
            f"{name}: the hub does not give it ({error}); check the name, the token, the network"
        ) from error


def place_of(path: str) -> Place:
    """Split a module's path at its first number: `model.layers.3.mlp.up_proj` is layer 3 of `model.layers`."""
    match = re.search(r"(?:^|\.)(\d+)(?:\.|$)", path)
    if match is None:
        return Place("", None, path)
    return Place(path[: match.start()], int(match.group(1)), path[match.end() :])


def _adapter(name: str, config: Mapping[str, Any], tensors: Tensors) -> Adapter:
    _check_supported(name, config)
    modules = tuple(sorted(_modules(name, config, tensors), key=lambda m: (m.place.stack, m.place.layer or 0, m.path)))
    if not modules:
        raise InputError(f"{name}: the adapter has no LoRA factors")
    read = {key for module in modules for key in (module.key_a, module.key_b, module.key_magnitude)}
    others = tuple(key for key in tensors.names() if key not in read)
    return Adapter(name, bool(config.get("use_dora")), _base_difference(config), modules, others)


def _base_difference(config: Mapping[str, Any]) -> str | None:
    start = str(config.get("init_lora_weights", True)).lower()
    if start.startswith(CHANGED_BASES):
        return f"init_lora_weights = {start} took the first B A out of the base weights"
    return "layer_replication renumbered the layers" if config.get("layer_replication") else None


def _check_supported(name: str, config: Mapping[str, Any]) -> None:
    kind = config.get("peft_type")
    if kind != "LORA":
        raise InputError(
            f"{name}: the adapter is of type {kind}, not LORA; its weights are not a product of two factors"
        )
    found = next((key for key in UNSUPPORTED if config.get(key)), None)
    if found:
        raise InputError(f"{name}: {found} is set, and its change of the weights is not s B A; analyse a plain LoRA")


def _modules(name: str, config: Mapping[str, Any], tensors: Tensors) -> Iterator[LoraModule]:
    names = set(tensors.names())
    for key in sorted(names):
        ending = next((ending for ending in FACTORS if key.endswith(f".{ending}")), None)
        if ending is None:
            continue
        stem = key.removesuffix(ending)
        partner = stem + FACTORS[ending]
        if partner not in names:
            raise InputError(f"{name}: {key} has no {FACTORS[ending]} beside it; save the adapter again")
        rank = tensors.shape(key)[0]
        if rank == 0 or tensors.shape(partner)[1] != rank:
            raise InputError(f"{name}: shapes {tensors.shape(key)} and {tensors.shape(partner)} of {stem} do not fit")
        path = stem.removesuffix(".").removeprefix(PREFIX)
        stated = _setting(config, "rank", path, config.get("r", rank))
        if stated != rank:
            raise InputError(f"{name}: {path} has factors of rank {rank}, but the config states {stated}")
        alpha = float(_setting(config, "alpha", path, config["lora_alpha"]))
        yield LoraModule(
            path=path,
            place=place_of(path),
            rank=rank,
            alpha=alpha,
            scaling=alpha / (math.sqrt(rank) if config.get("use_rslora") else rank),
            transposed=bool(config.get("fan_in_fan_out")) or ending == "lora_embedding_A",
            tensors=tensors,
            key_a=key,
            key_b=partner,
            key_magnitude=next((stem + end for end in MAGNITUDES if stem + end in names), None),
        )


def _setting(config: Mapping[str, Any], kind: str, path: str, default: float) -> float:
    """A module's own rank or alpha: the first pattern that matches the end of its path, as PEFT reads them."""
    patterns = config.get(f"{kind}_pattern") or {}
    return next((value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", path)), default)
