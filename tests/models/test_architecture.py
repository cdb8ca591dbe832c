"""Counts from a config alone equal those of the model itself, built without memory on torch's meta device."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

from polymlops.config.base_models import EmbeddedModelConfig
from polymlops.config.schema import ALL_LINEAR
from polymlops.errors import InputError
from polymlops.models.architecture import PUBLISHED, architecture_of, embedded_architecture, read_architecture
from polymlops.models.base import create_base_model

SIZES = {
    **{"vocab_size": 101, "hidden_size": 24, "intermediate_size": 56, "num_hidden_layers": 3},
    **{"num_attention_heads": 6, "num_key_value_heads": 2},
}
CONFIGS = [
    LlamaConfig(**SIZES),
    LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True, tie_word_embeddings=True),
    MistralConfig(**SIZES, head_dim=8),
    Qwen2Config(**SIZES),
    Qwen2Config(**SIZES, tie_word_embeddings=True),
    Qwen3Config(**SIZES, head_dim=10),
    Qwen3Config(**SIZES, head_dim=4, attention_bias=True, tie_word_embeddings=True),
]
# As published with the models.
QWEN3_8B = Qwen3Config(
    vocab_size=151936,
    hidden_size=4096,
    intermediate_size=12288,
    num_hidden_layers=36,
    num_attention_heads=32,
    num_key_value_heads=8,
    head_dim=128,
)
QWEN3_SMALL = Qwen3Config(
    vocab_size=151936,
    hidden_size=1024,
    intermediate_size=3072,
    num_hidden_layers=28,
    num_attention_heads=16,
    num_key_value_heads=8,
    head_dim=128,
    tie_word_embeddings=True,
)


def on_meta(config):
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.model_type)
def test_every_parameter_of_a_known_family_is_counted(config):
    shape = architecture_of(config)
    assert shape.known
    assert shape.parameters == count(on_meta(config))


@pytest.mark.parametrize(
    ("name", "config", "parameters"),
    [("Qwen/Qwen3-8B", QWEN3_8B, 8_190_735_360), ("Qwen/Qwen3-0.6B", QWEN3_SMALL, 596_049_920)],
)
def test_the_profiles_models_have_the_published_size(name, config, parameters):
    model = on_meta(config)
    assert PUBLISHED[name] == architecture_of(config)
    assert PUBLISHED[name].parameters == count(model) == parameters
    linear = [module for module in model.model.layers.modules() if isinstance(module, torch.nn.Linear)]
    assert PUBLISHED[name].linear_parameters == sum(module.weight.numel() for module in linear)


def test_the_embedded_model_by_its_config_and_by_its_folder(small_base):
    from transformers import AutoTokenizer

    config = EmbeddedModelConfig(vocabulary=600, hidden=48, layers=3, heads=3)
    built = create_base_model(config, AutoTokenizer.from_pretrained(small_base))
    assert embedded_architecture(config).parameters == count(built)
    found = AutoModelForCausalLM.from_pretrained(small_base)
    assert read_architecture(small_base).parameters == count(found)


@pytest.mark.parametrize("targets", [ALL_LINEAR, ("q_proj", "down_proj"), ("nothing",)])
def test_an_adapters_parameters(tiny_model, targets):
    import copy

    from peft import LoraConfig, get_peft_model

    shape = architecture_of(tiny_model.config)
    if targets == ("nothing",):
        assert shape.lora_parameters(3, targets) == 0
        return
    adapted = get_peft_model(copy.deepcopy(tiny_model), LoraConfig(r=3, target_modules=list(targets)))
    assert shape.lora_parameters(3, targets) == adapted.get_nb_trainable_parameters()[0]


def test_cache_bytes_are_those_of_a_real_cache(tiny_model):
    ids = torch.arange(3 * 7).reshape(3, 7)
    with torch.no_grad():
        cache = tiny_model(input_ids=ids, use_cache=True).past_key_values
    tensors = [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]
    found = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    assert architecture_of(tiny_model.config).cache_bytes(3, 7, 4) == found > 0


def test_what_is_not_known_is_said(tmp_path):
    from transformers import GemmaConfig, T5Config

    assert not architecture_of(GemmaConfig(**SIZES)).known
    with pytest.raises(InputError, match="does not say"):
        architecture_of(T5Config())
    with pytest.raises(InputError, match=r"config\.json cannot be used"):
        read_architecture(tmp_path)
