"""A block that is switched off equals an adapter whose factors are zero there, and comes back untouched."""

from __future__ import annotations

import json
import math
from copy import deepcopy

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer

from polymlops.analysis.lora_ablation import (
    Ablation,
    AblationProbe,
    BlockEffect,
    LayerBlock,
    ablate_blocks,
    adapted_layers,
    layer_blocks,
    load_adapted,
    without_layers,
)
from polymlops.errors import InputError
from polymlops.generation.decoding import Decoding
from polymlops.models.loading import weights_digest
from polymlops.records import Estimate

IDS = torch.arange(3, 15)[None]
KINDS = {"plain": {}, "rslora": {"use_rslora": True}, "dora": {"use_dora": True}}


def adapted(tiny_model, **settings):
    torch.manual_seed(1)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"], inference_mode=True, **settings)
    model = get_peft_model(deepcopy(tiny_model), config).eval()
    for name, parameter in model.named_parameters():
        if "lora_magnitude" in name:
            parameter.data *= 1.3
        elif "lora_" in name:
            parameter.data = torch.randn_like(parameter) * 0.5
    return model


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


def with_zeroed(model, layers):
    """The same adapter with B = 0 in these layers, and the magnitudes that leave W alone."""
    copy = deepcopy(model)
    for name, module in copy.named_modules():
        if isinstance(module, LoraLayer) and any(f".layers.{layer}." in name for layer in layers):
            module.lora_B["default"].weight.data.zero_()
            for magnitude in module.lora_magnitude_vector.values():
                magnitude.weight.data = module.get_base_layer().weight.norm(dim=1)
    return copy


@pytest.mark.parametrize("layers", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_switched_off_block_equals_zeroed_factors_and_is_restored(tiny_model, kind, layers):
    model = adapted(tiny_model, **KINDS[kind])
    before, state = logits(model), {name: value.clone() for name, value in model.state_dict().items()}
    trainable = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    with without_layers(model, layers):
        inside = logits(model)
    torch.testing.assert_close(inside, logits(with_zeroed(model, layers)), rtol=0, atol=1e-5)
    assert (inside - before).abs().max() > 1e-2
    assert torch.equal(logits(model), before)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert {name: parameter.requires_grad for name, parameter in model.named_parameters()} == trainable


def test_everything_off_is_the_base(tiny_model):
    model = adapted(tiny_model)
    with without_layers(model, adapted_layers(model)), torch.no_grad():
        torch.testing.assert_close(logits(model), tiny_model(input_ids=IDS).logits)


def test_a_trainable_adapter_stays_trainable_and_an_error_inside_restores_it(tiny_model):
    model = adapted(tiny_model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)
    before = logits(model)
    with pytest.raises(KeyError), without_layers(model, [0]):
        raise KeyError
    assert torch.equal(logits(model), before)
    assert all(parameter.requires_grad == ("lora_" in name) for name, parameter in model.named_parameters())


def test_an_adapter_is_loaded_beside_its_own_base_only(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path / "base")
    model = adapted(tiny_model)
    model.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    about = tmp_path / "adapter" / "adapter.json"
    about.write_text(json.dumps({"base_weights_sha256": weights_digest(tmp_path / "base")}))
    loaded = load_adapted(tmp_path / "base", tmp_path / "adapter")
    torch.testing.assert_close(logits(loaded), logits(model))
    assert adapted_layers(loaded) == [0, 1]
    with without_layers(loaded, [1]):
        torch.testing.assert_close(logits(loaded), logits(with_zeroed(model, [1])))
    about.write_text(json.dumps({"base_weights_sha256": "0" * 64}))
    with pytest.raises(InputError, match="made for another base"):
        load_adapted(tmp_path / "base", tmp_path / "adapter")


def test_what_cannot_be_switched_off_is_refused(tiny_model):
    model = adapted(tiny_model)
    assert adapted_layers(model) == [0, 1]
    with pytest.raises(InputError, match="layer 7 has no LoRA weights"), without_layers(model, [0, 7]):
        pass
    with without_layers(model, [0]), pytest.raises(InputError, match="off already"), without_layers(model, [0]):
        pass
    model.merge_adapter()
    with pytest.raises(InputError, match="merged"), without_layers(model, [0]):
        pass
    with pytest.raises(InputError, match="no LoRA layers"):
        adapted_layers(tiny_model)


def test_blocks_are_contiguous_and_hold_every_layer():
    assert layer_blocks([0, 1, 2, 3, 4], 2) == [LayerBlock("0-2", (0, 1, 2)), LayerBlock("3-4", (3, 4))]
    assert [block.name for block in layer_blocks([3, 5], 2)] == ["3", "5"]
    for count in (0, 3):
        with pytest.raises(InputError, match="blocks of 2 layers"):
            layer_blocks([0, 1], count)


def as_text(candidate):
    return " ".join(map(str, candidate.tokens))


def probe(prompts=6, samples=5):
    encoded = tuple(tuple(range(3 + p, 8 + p)) for p in range(prompts))
    names = tuple(f"p{p}" for p in range(prompts))
    return AblationProbe(names, encoded, samples, Decoding(1.0, 1.0, 0, 6), seed=3, decode=as_text)


def distinct_share(prompt_id, texts):
    words = [word for text in texts for word in text.split()]
    return len(set(words)) / len(words)


def even_share(prompt_id, texts):
    words = [int(word) for text in texts for word in text.split()]
    return sum(word % 2 == 0 for word in words) / len(words)


def test_effects_are_the_paired_differences_of_the_two_samplings(tiny_model):
    model = adapted(tiny_model)
    scores = {"diversity": distinct_share, "quality": even_share}
    result = ablate_blocks(model, layer_blocks(adapted_layers(model), 2), probe(), scores)
    assert [(e.block.name, e.score) for e in result.effects] == [
        (block, score) for block in ("0", "1", "all") for score in scores
    ]
    zeroed = with_zeroed(model, [1])
    for effect in result.effects:
        assert effect.change.value == pytest.approx(effect.without - effect.full)
        assert effect.change.low <= effect.change.value <= effect.change.high
        assert effect.change.n == 6
    alone = ablate_blocks(zeroed, layer_blocks([0, 1], 1), probe(), scores)
    by_name = {(e.block.name, e.score): e for e in result.effects}
    for effect in alone.effects[:2]:
        assert by_name["1", effect.score].without == pytest.approx(effect.full)
    assert len(result.rows()) == 6


def test_a_layer_whose_factors_are_zero_changes_nothing(tiny_model):
    model = with_zeroed(adapted(tiny_model), [0])
    result = ablate_blocks(model, layer_blocks([0, 1], 2), probe(), {"diversity": distinct_share})
    still, moved, _ = result.effects
    assert (still.change.value, still.change.low, still.change.high) == (0, 0, 0)
    assert not still.change.excludes_zero
    assert moved.change.value != 0


def test_the_sentence_names_only_blocks_beyond_chance():
    def effect(block, value, half):
        change = Estimate(value, value - half, value + half, 9)
        return BlockEffect(LayerBlock(block, (0,)), "diversity", 0.5, 0.5 + value, change, 0)

    clear, vague, whole = effect("0-3", -0.2, 0.1), effect("4-7", -0.1, 0.2), effect("all", -0.4, 0.1)
    sentence = Ablation((clear, vague, whole), 0.95, 9, 4).sentence("diversity")
    assert "without layers 0-3 it is 0.500 -> 0.300" in sentence
    assert "4-7" not in sentence
    assert "all" not in sentence
    assert Ablation((vague, whole), 0.95, 9, 4).sentence("diversity").startswith("No single block of layers changes")
    with pytest.raises(InputError, match="quality: not measured"):
        Ablation((clear,), 0.95, 9, 4).sentence("quality")


def test_intervals_hold_together_over_the_blocks(tiny_model):
    model = adapted(tiny_model)
    widths = []
    for count in (1, 2):
        blocks = layer_blocks([0, 1], count)
        whole = ablate_blocks(model, blocks, probe(), {"diversity": distinct_share}).effects[-1]
        widths.append(whole.change.high - whole.change.low)
    assert widths[1] > widths[0]


def test_undefined_scores_are_counted(tiny_model):
    def sometimes(prompt_id, texts):
        return math.nan if prompt_id == "p0" else distinct_share(prompt_id, texts)

    def never(prompt_id, texts):
        return math.nan

    measure = {"some": sometimes, "none": never}
    some, none, *_ = ablate_blocks(adapted(tiny_model), layer_blocks([0, 1], 2), probe(), measure).effects
    assert (some.undefined, some.change.n) == (1, 5)
    assert (none.undefined, none.change.n) == (6, 0)
    assert np.isnan([none.full, none.without, none.change.value]).all()


def test_nothing_to_sample_or_to_score_is_refused(tiny_model):
    model = adapted(tiny_model)
    blocks = layer_blocks([0, 1], 1)
    with pytest.raises(InputError, match="0 prompt ids"):
        ablate_blocks(model, blocks, probe(prompts=0), {"diversity": distinct_share})
    with pytest.raises(InputError, match="0 scores"):
        ablate_blocks(model, blocks, probe(), {})
