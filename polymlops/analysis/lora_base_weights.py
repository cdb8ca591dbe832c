"""The weights that an adapter changes, from the folder of its base model, one matrix at a time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from polymlops.analysis.lora_adapters import LoraModule
from polymlops.analysis.lora_tensors import FolderTensors, open_folder
from polymlops.errors import InputError
from polymlops.metrics.arrays import Floats
from polymlops.models.references import model_folder

OUTPUT, EMBEDDINGS = "lm_head", "embed_tokens"


@dataclass(frozen=True, slots=True)
class BaseWeights:
    """The base model's tensors; a tied output layer is read from the embeddings."""

    folder: Path
    tensors: FolderTensors
    tied: bool

    def read(self, module: LoraModule) -> Floats:
        """W of an adapted module as (out, in), float64.

        Raises: InputError where the base has no such weight, several that could be it, or one of another shape.
        """
        weight = self.tensors.read(self._name(module.path)).astype(np.float64)
        matrix = weight.reshape(weight.shape[0], -1)
        matrix = matrix.T if module.transposed else matrix
        if matrix.shape != module.shape:
            raise InputError(
                f"{self.folder}: {module.path} is {matrix.shape} in the base and {module.shape} in the adapter; "
                "give the base that the adapter was trained on"
            )
        return matrix

    def _name(self, path: str) -> str:
        exact = f"{path}.weight"
        if exact in self.tensors.stored:
            return exact
        # Base checkpoints of some families leave out the head model's prefix ("transformer.", "model.").
        endings = [name for name in self.tensors.names() if exact.endswith(f".{name}")]
        if not endings and self.tied and path.split(".")[-1] == OUTPUT:
            endings = [name for name in self.tensors.names() if name.endswith(f"{EMBEDDINGS}.weight")]
        if len(endings) != 1:
            found = f"{len(endings)} tensors" if endings else "no tensor"
            raise InputError(f"{self.folder}: {found} for {path}; give the folder of the adapter's own base model")
        return endings[0]


def open_base(folder: Path) -> BaseWeights:
    """The weights of a base model's folder. Raises InputError where it holds no safetensors weights."""
    folder = model_folder(folder)
    about = folder / "config.json"
    tied = about.is_file() and bool(json.loads(about.read_text()).get("tie_word_embeddings"))
    return BaseWeights(folder, open_folder(folder, "model"), tied)
