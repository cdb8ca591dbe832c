"""Estimates against what torch really keeps: weights, and the tensors that wait for the way back."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig as PeftConfig
from peft import get_peft_model
from transformers import Qwen3Config, Qwen3ForCausalLM

from polymlops.config.profiles import load_config
from polymlops.config.schema import LoraConfig
from polymlops.models.architecture import PUBLISHED, architecture_of, embedded_architecture, read_architecture
from polymlops.models.disk_estimate import disk_need
from polymlops.models.loading import load_base
from polymlops.models.memory_estimate import activation_bytes, memory_needs, weight_bytes

EIGHT = PUBLISHED["Qwen/Qwen3-8B"]


def needs(*overrides, profile="qwen3-8b", shape=EIGHT):
    return {need.work: need for need in memory_needs(load_config(profile, overrides), shape)}


def test_weights_are_those_of_the_loaded_model(small_base):
    found = sum(parameter.nbytes for parameter in load_base(small_base).parameters())
    assert weight_bytes(load_config("smoke"), read_architecture(small_base)) == found


def test_four_bits_are_for_the_layers_maps_alone():
    whole = weight_bytes(load_config("qwen3-8b", ["base_model.quantization=none"]), EIGHT)
    assert whole == 2 * EIGHT.parameters
    outside = 2 * (EIGHT.parameters - EIGHT.linear_parameters)
    assert outside > 2 * 2 * 151936 * 4096  # embedding and head, in bfloat16
    small = weight_bytes(load_config("qwen3-8b"), EIGHT)
    assert small - outside == pytest.approx(EIGHT.linear_parameters * 0.516, rel=1e-3)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_activations_are_what_autograd_keeps(dropout):
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=50,
        hidden_size=64,
        intermediate_size=192,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
    )
    ours = LoraConfig(r=2, dropout=dropout)
    theirs = PeftConfig(r=2, lora_dropout=dropout, target_modules=list(ours.target_modules))
    model = get_peft_model(Qwen3ForCausalLM(config), theirs).train()
    ids = torch.arange(4 * 64).reshape(4, 64) % 50
    shape = architecture_of(config)
    kept = kept_bytes(model, ids)
    assert kept < activation_bytes(shape, ours, 4, ids.numel(), False) < 1.5 * kept
    model.activation_checkpointing_enable()
    streams = kept_bytes(model, ids)
    one_layer = activation_bytes(shape, ours, 4, ids.numel(), False) / config.num_hidden_layers
    estimate = activation_bytes(shape, ours, 4, ids.numel(), True)
    assert streams < kept / 10
    assert estimate - one_layer < 1.5 * streams
    assert estimate > streams


def kept_bytes(model, ids):
    """Bytes of distinct tensors, but for parameters, that the layers keep."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)  # held, so that no other takes its place
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.get_base_model().model(input_ids=ids, use_cache=False)
    return sum(size for size, _ in kept.values())


def test_what_a_setting_is_for_is_what_it_changes():
    plain = needs()
    for override, work, part in (
        ("sft.gradient_checkpointing=false", "SFT", "activations"),
        ("grpo.gradient_checkpointing=false", "GRPO", "activations"),
        ("base_model.quantization=none", "SFT", "weights"),
        ("sampling.batch=640", "sampling replies", "cache"),
        ("lora.r=64", "GRPO", "adapter and optimizer"),
    ):
        larger = needs(override)
        assert larger[work].parts[part] > 1.5 * plain[work].parts[part], override
        changed = {
            name for name, size in larger[work].parts.items() if size != plain[work].parts[name] and name != "draws"
        }
        assert changed <= {part, "reference", "adapter"}, override
    assert needs("sft.micro_batch=2")["SFT"].total < plain["SFT"].total
    assert needs("arms=[zero_shot]").keys() == {"sampling replies", "sampling programs", "sampling stories"}


def test_the_embedded_model_is_trained_whole():
    config = load_config("demo")
    found = needs(profile="demo", shape=embedded_architecture(config.base_model))
    assert (
        found["pretraining"].parts["weights and optimizer"] == 16 * embedded_architecture(config.base_model).parameters
    )
    assert 0 < max(need.total for need in found.values()) < 2**31


def test_disk_counts_every_adapter_and_a_download_once():
    one, three = (load_config("qwen3-8b", [f"seeds={seeds}"]) for seeds in ("[1]", "[1, 2, 3]"))
    small, large = disk_need(one, EIGHT, True), disk_need(three, EIGHT, True)
    assert (
        large["adapters"] == 3 * small["adapters"] == 3 * 4 * 2 * 4 * EIGHT.lora_parameters(16, one.lora.target_modules)
    )
    assert small["base model"] == 0
    assert disk_need(one, EIGHT, False)["base model"] == 2 * EIGHT.parameters
