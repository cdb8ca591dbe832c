"""A tiny base model on disk, and adapters of it that PEFT made and saved."""

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn


def tiny_base(folder, tied=False):
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=48,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        initializer_range=0.3,
        tie_word_embeddings=tied,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    return folder


def load(base):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(base)


def randomise(model, seed):
    """Factors as after training; DoRA's magnitudes move away from the norms of W."""
    torch.manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_magnitude" in name:
            parameter.data *= 1 + 0.2 * torch.rand_like(parameter)
        elif "lora_" in name:
            parameter.data = torch.randn_like(parameter)


def save_adapter(model, folder, seed=1, dtype=torch.float32):
    randomise(model, seed)
    model.to(dtype)
    model.save_pretrained(folder, save_embedding_layers=False)
    return folder


def make(base, folder, seed=1, dtype=torch.float32, **changes):
    settings = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "up_proj", "down_proj"], **changes}
    return save_adapter(get_peft_model(load(base), LoraConfig(**settings)), folder, seed, dtype)


def merged_changes(base, adapter):
    """PEFT's Delta W by module: the merged weights less those of the base, as (out, in)."""
    before = dict(load(base).double().named_modules())
    merged = PeftModel.from_pretrained(load(base).double(), str(adapter)).merge_and_unload()
    changes = {}
    for name, module in merged.named_modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            change = (module.weight - before[name].weight).detach().numpy()
            changes[name] = change.T if isinstance(module, nn.Embedding) else change
    return changes
