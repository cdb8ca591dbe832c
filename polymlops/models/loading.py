"""Models from folders: a base, and a base with an adapter."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polymlops.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Load a tokenizer that pads on the left, as sampling needs it."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, padding_side="left")
    return tokenizer


def load_base(folder: Path) -> PreTrainedModel:
    """Load a causal language model in float32 on the CPU, in evaluation mode."""
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def load_with_adapter(base: Path, adapter: Path | None) -> PreTrainedModel:
    """Load a base and merge an adapter into it; in float32 the merge is exact to rounding and samples faster.

    Raises:
        InputError: there is no adapter in the folder, or it was made for another base.
    """
    if adapter is None:
        return load_base(base)
    from peft import PeftModel

    check_base(base, adapter)
    return PeftModel.from_pretrained(load_base(base), str(adapter)).merge_and_unload().eval()


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
    """sha256 of a model's weight files, by which an adapter names its base."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
