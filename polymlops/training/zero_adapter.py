"""The adapter that changes nothing: LoRA as it begins, B = 0, from which a base model can be trained by GRPO."""

from __future__ import annotations

import json
from pathlib import Path

from polymlops.config.code_slices import ZeroAdapterSpec
from polymlops.models.loading import load_base, weights_digest
from polymlops.records import Job
from polymlops.training.adapter_files import save_weights


def make_zero_adapter(spec: ZeroAdapterSpec, base: Path, job: Job) -> dict[str, float]:
    """Write an adapter whose A is drawn by seed and whose B is 0; returns its number of weights."""
    import torch
    from peft import LoraConfig, get_peft_model

    lora = spec.lora
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        config = LoraConfig(
            r=lora.r,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=list(lora.target_modules),
            task_type="CAUSAL_LM",
        )
        model = get_peft_model(load_base(base), config)
    save_weights(model, job.output)
    about = {"arm": "zero", "seed": spec.seed, "base_weights_sha256": weights_digest(base)}
    (job.output / "adapter.json").write_text(json.dumps(about, indent=1, sort_keys=True))
    return {"adapter/weights": float(sum(p.numel() for p in model.parameters() if p.requires_grad))}
