"""The analysis of adapters that PEFT itself made and saved, against PEFT's own Delta W and the dense SVD."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tiny_adapters import load, make, merged_changes, save_adapter, tiny_base
from torch import nn

from polymlops.analysis.lora_adapters import AdapterState
from polymlops.analysis.lora_intruders import IntruderSettings
from polymlops.analysis.lora_parameters import analyze_adapter, compare_adapters
from polymlops.errors import InputError

KINDS = {
    "plain": {},
    "rslora": {"use_rslora": True, "lora_alpha": 5},
    "dora": {"use_dora": True},
    "dora_rslora": {"use_dora": True, "use_rslora": True},
    "patterns": {"rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\.up_proj": 5}, "alpha_pattern": {"mlp.up_proj": 3}},
    "embeddings": {"target_modules": ["embed_tokens", "q_proj"]},
    "output_layer": {"target_modules": ["lm_head", "down_proj"]},
    "dora_embeddings": {"target_modules": ["embed_tokens"], "use_dora": True},
    "more": {"modules_to_save": ["model.norm"]},
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_adapter_is_what_peft_makes_of_it(base, tmp_path, kind):
    adapter = make(base, tmp_path / "adapter", **KINDS[kind])
    changes, found = merged_changes(base, adapter), analyze_adapter(adapter, base)
    assert {module.path for module in found.modules} == {n for n, change in changes.items() if np.abs(change).max() > 0}
    weights = dict(load(base).named_modules())
    for module in found.modules:
        expected = np.linalg.svd(changes[module.path], compute_uv=False)
        largest = expected[0]
        np.testing.assert_allclose(
            module.singular_values, expected[: len(module.singular_values)], rtol=0, atol=1e-6 * largest
        )
        assert expected[len(module.singular_values) :].max(initial=0) < 1e-6 * largest
        norm_base = float(torch.linalg.norm(weights[module.path].weight.detach().double()))
        assert module.relative_norm == pytest.approx(np.linalg.norm(changes[module.path]) / norm_base, rel=1e-6)
        assert module.shape == changes[module.path].shape
    assert found.dora is bool(KINDS[kind].get("use_dora"))
    assert found.others == (("base_model.model.model.norm.weight",) if kind == "more" else ())


def test_ranks_alphas_and_scaling_follow_the_patterns(base, tmp_path):
    found = {m.path: m for m in analyze_adapter(make(base, tmp_path / "a", **KINDS["patterns"])).modules}
    settings = {path: (m.rank, m.alpha, m.scaling) for path, m in found.items() if m.place.module != "mlp.down_proj"}
    assert settings == {
        "model.layers.0.self_attn.q_proj": (2, 8, 4),
        "model.layers.1.self_attn.q_proj": (2, 8, 4),
        "model.layers.0.mlp.up_proj": (4, 3, 0.75),
        "model.layers.1.mlp.up_proj": (5, 3, 0.6),
    }


def test_without_a_base_the_same_spectra_and_no_relative_norm(base, tmp_path):
    adapter = make(base, tmp_path / "adapter")
    with_base, without = analyze_adapter(adapter, base), analyze_adapter(adapter)
    for a, b in zip(with_base.modules, without.modules, strict=True):
        assert a.singular_values == b.singular_values
        assert math.isnan(b.relative_norm)
        assert b.intruders is None


def test_layers_keep_their_index_and_rows_are_flat(base, tmp_path):
    found = analyze_adapter(make(base, tmp_path / "adapter"))
    assert [(m.place.layer, m.place.module) for m in found.modules] == [
        (layer, name) for layer in (0, 1) for name in ("mlp.down_proj", "mlp.up_proj", "self_attn.q_proj")
    ]
    rows = found.rows()
    assert {row["stack"] for row in rows} == {"model.layers"}
    assert all(isinstance(value, float | int | str) for row in rows for value in row.values())
    assert sum(found.energy_by_layer().values()) == pytest.approx(1)
    first = sum(m.norm_delta**2 for m in found.modules if m.place.layer == 0)
    assert found.energy_by_layer()[0] == pytest.approx(first / sum(m.norm_delta**2 for m in found.modules))


def test_an_adapter_that_did_not_train_is_counted(base, tmp_path):
    model = get_peft_model(load(base), LoraConfig(r=4, target_modules=["q_proj"]))
    model.save_pretrained(tmp_path / "fresh")
    found = analyze_adapter(tmp_path / "fresh")
    assert found.untrained == len(found.modules) == 2
    assert all(module.norm_a > 0 and module.norm_b == 0 and math.isnan(module.stable_rank) for module in found.modules)
    assert all(math.isnan(share) for share in found.energy_by_layer().values())


def test_half_precision_files_are_read_as_they_are(base, tmp_path):
    adapter = make(base, tmp_path / "adapter", dtype=torch.bfloat16)
    found = analyze_adapter(adapter).modules[0]
    from safetensors.torch import load_file

    tensors = load_file(adapter / "adapter_model.safetensors")
    stem = f"base_model.model.{found.path}.lora_"
    product = 2 * tensors[f"{stem}B.weight"].double() @ tensors[f"{stem}A.weight"].double()
    assert found.norm_delta == pytest.approx(float(torch.linalg.norm(product)), rel=1e-12)


def test_a_state_in_memory_is_the_folder(base, tmp_path):
    from safetensors.numpy import load_file

    adapter = make(base, tmp_path / "adapter")
    state = AdapterState(
        json.loads((adapter / "adapter_config.json").read_text()), load_file(adapter / "adapter_model.safetensors")
    )
    assert analyze_adapter(state).modules == analyze_adapter(adapter).modules


def test_gpt2_and_convolutions(tmp_path):
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(vocab_size=32, n_positions=16, n_embd=12, n_layer=1, n_head=2)).save_pretrained(tmp_path)
    config = LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True)
    adapter = save_adapter(get_peft_model(load(tmp_path), config), tmp_path / "adapter")
    (module,) = analyze_adapter(adapter, tmp_path).modules
    assert module.shape == (36, 12)
    before = load(tmp_path).transformer.h[0].attn.c_attn.weight.detach().double()
    merged = PeftModel.from_pretrained(load(tmp_path).double(), str(adapter)).merge_and_unload()
    change = merged.transformer.h[0].attn.c_attn.weight.detach() - before
    relative = float(torch.linalg.norm(change) / torch.linalg.norm(before))
    assert module.relative_norm == pytest.approx(relative, rel=1e-6)

    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 1))
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["0", "1"]))
    save_adapter(adapted, tmp_path / "conv")
    for index, module in enumerate(analyze_adapter(tmp_path / "conv").modules):
        layer = adapted.base_model.model[index]
        expected = layer.get_delta_weight("default").detach().double().flatten(1).numpy()
        assert module.norm_delta == pytest.approx(np.linalg.norm(expected), rel=1e-5)
        assert module.singular_values[0] == pytest.approx(np.linalg.norm(expected, 2), rel=1e-5)


def test_a_tied_output_layer_is_read_from_the_embeddings(tmp_path):
    base = tiny_base(tmp_path / "base", tied=True)
    config = LoraConfig(r=2, target_modules=["q_proj"])
    adapter = save_adapter(get_peft_model(load(base), config), tmp_path / "adapter")
    from safetensors.torch import load_file, save_file

    tensors = load_file(adapter / "adapter_model.safetensors")
    tensors |= {
        "base_model.model.lm_head.lora_A.weight": torch.randn(2, 24),
        "base_model.model.lm_head.lora_B.weight": torch.randn(48, 2),
    }
    save_file(tensors, adapter / "adapter_model.safetensors")
    found = {module.path: module for module in analyze_adapter(adapter, base).modules}
    expected = float(torch.linalg.norm(load(base).model.embed_tokens.weight.detach()))
    assert found["lm_head"].norm_base == pytest.approx(expected, rel=1e-6)


def test_dora_needs_its_base_and_says_so(base, tmp_path):
    adapter = make(base, tmp_path / "adapter", use_dora=True)
    with pytest.raises(InputError, match="give the base model's folder"):
        analyze_adapter(adapter)
    with pytest.raises(InputError, match="dense_limit=24"):
        analyze_adapter(adapter, base, dense_limit=10)


def test_intruders_need_a_base_and_are_limited_before_anything_is_read(base, tmp_path):
    adapter = make(base, tmp_path / "adapter")
    with pytest.raises(InputError, match="give the base's folder"):
        analyze_adapter(adapter, intruders=IntruderSettings())
    with pytest.raises(InputError, match="dense_limit="):
        analyze_adapter(adapter, base, intruders=IntruderSettings(), dense_limit=10)
    found = analyze_adapter(adapter, base, intruders=IntruderSettings(examined=5, epsilon=0.9))
    assert all(len(module.intruders.similarity) == 5 for module in found.modules)
    assert any(module.intruders.count for module in found.modules)
    assert found.rows()[0]["intruders"] == found.modules[0].intruders.count


def test_an_adapter_compared_with_itself_and_with_its_continuation(base, tmp_path):
    adapter = make(base, tmp_path / "a")
    same = compare_adapters(adapter, adapter)
    for module in same.modules:
        for name in ("cosine", "left_overlap", "right_overlap"):
            assert getattr(module, name) == pytest.approx(1)
        assert module.relative_step == pytest.approx(0, abs=1e-12)
    other = make(base, tmp_path / "b", seed=2, target_modules=["q_proj", "down_proj", "v_proj"], r=2)
    changes = [merged_changes(base, folder) for folder in (adapter, other)]
    found = compare_adapters(adapter, other)
    assert found.only_a == tuple(f"model.layers.{layer}.mlp.up_proj" for layer in (0, 1))
    assert found.only_b == tuple(f"model.layers.{layer}.self_attn.v_proj" for layer in (0, 1))
    for module in found.modules:
        a, b = (change[module.path] for change in changes)
        norm_a, norm_b = np.linalg.norm(a), np.linalg.norm(b)
        assert module.cosine == pytest.approx(np.sum(a * b) / norm_a / norm_b, abs=1e-6)
        assert module.relative_step == pytest.approx(np.linalg.norm(b - a) / norm_a, rel=1e-6)
        (u_a, _, vt_a), (u_b, _, vt_b) = np.linalg.svd(a), np.linalg.svd(b)
        assert module.left_overlap == pytest.approx(np.linalg.norm(u_a[:, :4].T @ u_b[:, :2]) ** 2 / 2, abs=1e-6)
        assert module.right_overlap == pytest.approx(np.linalg.norm(vt_a[:4] @ vt_b[:2].T) ** 2 / 2, abs=1e-6)
        assert module.left_chance == 4 / a.shape[0]
    assert all(isinstance(value, float | int | str) for row in found.rows() for value in row.values())


def test_dora_is_compared_by_what_it_does_to_the_weights(base, tmp_path):
    a, b = make(base, tmp_path / "a", use_dora=True), make(base, tmp_path / "b", seed=2)
    changes = [merged_changes(base, folder) for folder in (a, b)]
    for module in compare_adapters(a, b, base).modules:
        x, y = (change[module.path] for change in changes)
        assert module.cosine == pytest.approx(np.sum(x * y) / np.linalg.norm(x) / np.linalg.norm(y), abs=1e-6)
        # DoRA's change has full rank: its leading r directions are compared.
        (u_x, _, vt_x), (u_y, _, vt_y) = np.linalg.svd(x), np.linalg.svd(y)
        assert module.left_overlap == pytest.approx(np.linalg.norm(u_x[:, :4].T @ u_y[:, :4]) ** 2 / 4, abs=1e-6)
        assert module.right_overlap == pytest.approx(np.linalg.norm(vt_x[:4] @ vt_y[:4].T) ** 2 / 4, abs=1e-6)


def test_an_untrained_side_leaves_the_comparison_undefined(base, tmp_path):
    get_peft_model(load(base), LoraConfig(r=4, target_modules=["q_proj"])).save_pretrained(tmp_path / "fresh")
    (first, _) = compare_adapters(tmp_path / "fresh", make(base, tmp_path / "b")).modules
    assert first.norm_a == 0
    for name in ("cosine", "relative_step", "left_overlap", "right_chance"):
        assert math.isnan(getattr(first, name))


def test_adapters_of_different_models_are_not_compared(base, tmp_path):
    config = {"peft_type": "LORA", "r": 1, "lora_alpha": 1}

    def state(path, out):
        stem = f"base_model.model.{path}.lora_"
        return AdapterState(config, {f"{stem}A.weight": np.ones((1, 3)), f"{stem}B.weight": np.ones((out, 1))})

    with pytest.raises(InputError, match="no weight in common"):
        compare_adapters(state("layers.0.a", 2), state("layers.0.b", 2))
    with pytest.raises(InputError, match=r"is \(2, 3\) in memory and \(4, 3\)"):
        compare_adapters(state("layers.0.a", 2), state("layers.0.a", 4))
