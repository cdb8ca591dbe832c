"""Tensors of a folder of safetensors files, mapped and read one at a time, bfloat16 included.

The `safetensors` package hands numpy no bfloat16, in which most adapters and bases are stored, so the file's layout is
read here: eight bytes of header length, a JSON header of name -> (dtype, shape, byte range), then the bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from polymlops.errors import InputError
from polymlops.metrics.arrays import Floats

Singles = NDArray[np.float32]
# Each as it lies in the file, little-endian; bfloat16 is the upper half of a float32.
DTYPES: Mapping[str, str] = MappingProxyType({"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"})
LONGEST_HEADER = 2**27  # bytes, the format's own limit is 100 MB


class Tensors(Protocol):
    """What adapters and bases are read from: names and shapes at once, values one tensor at a time."""

    def names(self) -> list[str]:
        """All names, sorted."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, without reading it."""

    def read(self, name: str) -> Floats | Singles:
        """One tensor: float64 where it is stored so, else float32."""


@dataclass(frozen=True, slots=True)
class ArrayTensors:
    """Tensors that are in memory already."""

    arrays: Mapping[str, Any]

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self.arrays)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        return tuple(self.arrays[name].shape)

    def read(self, name: str) -> Floats | Singles:
        """One tensor as float64 or float32."""
        array = np.asarray(self.arrays[name])
        return array if array.dtype in (np.float64, np.float32) else array.astype(np.float32)


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where one tensor lies: its file, dtype by the format's name, shape, and first byte."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class FolderTensors:
    """Tensors of one or several safetensors files."""

    stored: Mapping[str, StoredTensor]

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self.stored)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, without reading it."""
        return self.stored[name].shape

    def read(self, name: str) -> Floats | Singles:
        """One tensor: float64 where it is stored so, else float32.

        Raises: InputError for a dtype that holds no floating-point numbers (quantised weights).
        """
        tensor = self.stored[name]
        if tensor.dtype not in DTYPES:
            raise InputError(
                f"{tensor.path}: {name} is stored as {tensor.dtype}, not as one of {', '.join(DTYPES)}; "
                "give weights that are not quantised"
            )
        if math.prod(tensor.shape) == 0:  # an empty range cannot be mapped
            return np.zeros(tensor.shape)
        raw = np.memmap(tensor.path, DTYPES[tensor.dtype], "r", tensor.offset, (math.prod(tensor.shape),))
        if tensor.dtype == "BF16":
            upper = np.left_shift(raw.astype(np.uint32), np.uint32(16))
            return upper.view(np.float32).reshape(tensor.shape)
        array: NDArray[Any] = np.array(raw, dtype=np.float64 if tensor.dtype == "F64" else np.float32)
        return array.reshape(tensor.shape)


def open_folder(folder: Path, stem: str) -> FolderTensors:
    """The tensors of `<stem>.safetensors`, or of the shards that `<stem>.safetensors.index.json` names.

    Raises: InputError where there is neither, a file is damaged, or a shard is missing.
    """
    index = folder / f"{stem}.safetensors.index.json"
    files = [folder / f"{stem}.safetensors"]
    if index.is_file() and not files[0].is_file():
        files = [folder / name for name in sorted(set(_json(index.read_bytes(), index)["weight_map"].values()))]
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise InputError(f"{folder}: {missing[0]} is missing; {_remedy(folder, stem)}")
    return FolderTensors({name: tensor for path in files for name, tensor in _entries(path)})


def _remedy(folder: Path, stem: str) -> str:
    if any(folder.glob(f"{stem}*.bin")):
        return "weights as .bin run code when they are loaded: save them again with safe_serialization=True"
    return "download or save the weights again"


def _entries(path: Path) -> Iterator[tuple[str, StoredTensor]]:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(size, LONGEST_HEADER):
            raise InputError(f"{path}: no safetensors file (a header of {length} bytes in a file of {size})")
        header = _json(file.read(length), path)
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        if 8 + length + end > size:
            raise InputError(f"{path}: cut short, {name} ends beyond the file; download or save it again")
        yield name, StoredTensor(path, entry["dtype"], tuple(entry["shape"]), 8 + length + start)


def _json(content: bytes, path: Path) -> dict[str, Any]:
    try:
        return json.loads(content)
    except ValueError as error:
        raise InputError(f"{path}: not readable as JSON ({error}); download or save it again") from error
