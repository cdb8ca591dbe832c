"""Models from folders: a base, and a base with an adapter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polymlops.errors import InputError
from polymlops.models.references import base_digest, model_folder, read_reference

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Load a tokenizer that pads on the left, as sampling needs it."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, padding_side="left")
    return tokenizer


def load_base(folder: Path) -> PreTrainedModel:
    """Load a causal language model in evaluation mode: in float32 on the CPU, or as the folder's reference says.

    Raises:
        InputError: the reference asks for what this machine does not have.
        ArtifactError: the folder that it refers to is gone or has changed, or the Hub cannot be reached.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    from polymlops.models.devices import loading_options

    reference = read_reference(folder)
    if reference is None:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    # Architecture and end tokens are the artifact's; only the weights lie elsewhere.
    config = AutoConfig.from_pretrained(folder)
    options = loading_options(reference)
    model = AutoModelForCausalLM.from_pretrained(model_folder(folder), config=config, **options)
    model.generation_config = GenerationConfig.from_pretrained(folder)
    return model.eval()


def load_with_adapter(base: Path, adapter: Path | None) -> PreTrainedModel:
    """Load a base with an adapter: merged in float32, where the merge is exact to rounding and samples faster.

    Raises:
        InputError: there is no adapter in the folder, or it was made for another base.
    """
    if adapter is None:
        return load_base(base)
    from peft import PeftModel

    check_base(base, adapter)
    model = PeftModel.from_pretrained(load_base(base), str(adapter))
    whole: Any = model.merge_and_unload() if _may_merge(base) else model
    return whole.eval()


def _may_merge(base: Path) -> bool:
    reference = read_reference(base)
    return reference is None or (reference.dtype == "float32" and reference.quantization == "none")


def check_base(base: Path, adapter: Path) -> None:
    """Compare the base that an adapter names with the one at hand.

    Raises:
        InputError: there is no adapter in the folder, or it was made for another base.
    """
    about = adapter / "adapter.json"
    if not about.is_file():
        raise InputError(f"{adapter}: no adapter here (adapter.json is missing)")
    named, found = json.loads(about.read_text())["base_weights_sha256"], weights_digest(base)
    if named != found:
        raise InputError(f"{adapter}: made for another base, with weights {named[:12]}; {base} has {found[:12]}")


def weights_digest(folder: Path) -> str:
    """sha256 of a model's weight files, by which an adapter names its base; of a reference, of those it refers to."""
    return base_digest(folder)
