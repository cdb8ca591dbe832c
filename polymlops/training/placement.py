"""Where a trainer works, read from the model that it is given, and what its processes do not share."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from polymlops.models.ranks import rank


def placement(model: Any) -> dict[str, Any]:
    """Device and precision of transformers' trainers: where the model lies; bf16 only where a GPU makes it pay."""
    import torch

    on_cpu = model.device.type == "cpu"
    return {
        "use_cpu": on_cpu,
        "bf16": not on_cpu and model.get_base_model().dtype == torch.bfloat16,
        "ddp_find_unused_parameters": False,  # every weight of an adapter is in every loss
    }


class OwnDropout(TrainerCallback):
    """Processes that train together begin with one random state; each but the first gets another for its dropout."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Before the first step; a resumed run is given the states of its checkpoint later."""
        import torch

        if rank():
            torch.manual_seed(self.seed + rank())
