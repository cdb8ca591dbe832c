"""Where a trainer works, read from the model that it is given: on the device where the model lies."""

from __future__ import annotations

from typing import Any


def placement(model: Any) -> dict[str, Any]:
    """`use_cpu` and `bf16` of transformers' trainers; mixed precision only where a GPU makes it pay."""
    import torch

    on_cpu = model.device.type == "cpu"
    return {"use_cpu": on_cpu, "bf16": not on_cpu and model.get_base_model().dtype == torch.bfloat16}
