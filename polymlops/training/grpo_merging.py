"""An adapter merged into its base for as long as nothing is differentiated: sampling then does a third less work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners.lora import Linear


@contextmanager
def merged(model: Any) -> Iterator[None]:
    """Merge the active adapter, where that changes the model by rounding only; else leave the model as it is.

    The base's own weights are set aside and put back, not computed back: nothing drifts however often this is done.
    In less than float32 the sum would be rounded away from what is differentiated, so there nothing is merged.
    """
    layers = [module for module in model.modules() if isinstance(module, Linear)]
    tied = model.get_input_embeddings().weight  # a head that shares it would change the embedding, too
    if not all(_is_plain(layer) and layer.get_base_layer().weight is not tied for layer in layers):
        yield
        return
    kept = [layer.get_base_layer().weight.data for layer in layers]
    try:
        for layer in layers:
            _merge(layer)
        yield
    finally:
        for layer, weight in zip(layers, kept, strict=True):
            layer.get_base_layer().weight.data = weight
            layer.merged_adapters.clear()


def _is_plain(layer: Any) -> bool:
    """One active adapter, of the kind whose whole effect is a float32 matrix that is added to the weight."""
    if layer.merged or layer.disable_adapters or len(layer.active_adapters) != 1:
        return False
    if layer.active_adapters[0] not in layer.lora_A or layer.lora_variant or any(layer.lora_bias.values()):
        return False
    return layer.get_base_layer().weight.dtype == torch.float32


def _merge(layer: Any) -> None:
    base, adapter = layer.get_base_layer(), layer.active_adapters[0]
    with torch.no_grad():
        base.weight.data = base.weight.data + layer.get_delta_weight(adapter)
    layer.merged_adapters.append(adapter)
