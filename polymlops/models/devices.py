"""Where and how a base model that is taken as it is gets loaded: device, precision, quantization, attention."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from polymlops.errors import InputError
from polymlops.models.references import BaseReference


def device_of(reference: BaseReference) -> str:
    """`cuda` where there is such a device and the reference does not ask for the CPU.

    Raises:
        InputError: quantized weights without a CUDA device, or without bitsandbytes.
    """
    import torch

    device = "cuda" if reference.device == "auto" and torch.cuda.is_available() else "cpu"
    if reference.quantization == "nf4" and device == "cpu":
        raise InputError(
            "quantization nf4 needs a CUDA device, and there is none here: set base_model.quantization=none, "
            "and base_model.dtype=bfloat16 for half the memory of float32"
        )
    if reference.quantization == "nf4" and find_spec("bitsandbytes") is None:
        raise InputError("quantization nf4 needs bitsandbytes: pip install 'polymlops[gpu]'")
    return device


def loading_options(reference: BaseReference) -> dict[str, Any]:
    """Arguments of transformers' `from_pretrained`.

    Raises:
        InputError: as `device_of`.
    """
    import torch

    device, dtype = device_of(reference), getattr(torch, reference.dtype)
    options: dict[str, Any] = {
        "dtype": dtype,
        "local_files_only": True,
        "use_safetensors": not reference.pickled,
        "device_map": {"": device} if device != "cpu" else None,
    }
    if device == "cuda" and reference.dtype == "bfloat16" and find_spec("flash_attn") is not None:
        options["attn_implementation"] = "flash_attention_2"
    if reference.quantization == "nf4":
        options["quantization_config"] = _four_bits(dtype)
    return options


def _four_bits(dtype: Any) -> Any:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
