"""Reading adapters: places, names that are resolved, and what is refused with its remedy."""

from __future__ import annotations

import json
import math
import shutil

import pytest
from tiny_adapters import make, tiny_base

from polymlops.analysis.lora_adapters import AdapterState, hub_folder, place_of
from polymlops.analysis.lora_parameters import analyze_adapter
from polymlops.errors import InputError


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("model.layers.11.mlp.up_proj", ("model.layers", 11, "mlp.up_proj")),
        ("transformer.h.0.attn.c_attn", ("transformer.h", 0, "attn.c_attn")),
        ("model.layers.3.mlp.experts.5.up_proj", ("model.layers", 3, "mlp.experts.5.up_proj")),
        ("0", ("", 0, "")),
        ("model.embed_tokens", ("", None, "model.embed_tokens")),
        ("lm_head", ("", None, "lm_head")),
        ("block.conv2d.proj", ("", None, "block.conv2d.proj")),
    ],
)
def test_places(path, place):
    found = place_of(path)
    assert (found.stack, found.layer, found.module) == place


def test_names_are_resolved_by_what_is_given(base, tmp_path):
    adapter = make(base, tmp_path / "adapter")
    asked = []

    def resolve(name):
        asked.append(name)
        return adapter

    found = analyze_adapter("models:/polymlops@champion", resolve=resolve)
    assert asked == ["models:/polymlops@champion"]
    assert found.name == "models:/polymlops@champion"
    assert found.modules == analyze_adapter(str(adapter), resolve=resolve).modules
    assert len(asked) == 1
    with pytest.raises(InputError, match="registry URI"):
        analyze_adapter("models:/polymlops@champion")


def test_a_hub_id_is_found_in_the_hubs_cache(base, tmp_path):
    revision = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "cache" / "models--someone--adapter"
    make(base, cached / "snapshots" / revision)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(revision)
    found = analyze_adapter("someone/adapter", resolve=lambda name: hub_folder(name, cache=tmp_path / "cache"))
    assert found.name == "someone/adapter"
    assert len(found.modules) == 6
    with pytest.raises(InputError, match="someone/other: the hub does not give it"):
        hub_folder("someone/other", cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "LOHA"}, "of type LOHA"),
        ({"target_parameters": ["experts.up"]}, "target_parameters is set"),
        ({"use_qalora": True}, "use_qalora is set"),
        ({"r": 8}, "factors of rank 4, but the config states 8"),
        ({"use_dora": True}, "no magnitude vector"),
        ({"init_lora_weights": "pissa_niter_4"}, "pissa_niter_4 took the first B A out of the base"),
        ({"layer_replication": [[0, 2]]}, "renumbered"),
    ],
)
def test_what_is_not_plain_lora_is_refused_by_name(base, tmp_path, changes, message):
    adapter = make(base, tmp_path / "adapter")
    about = adapter / "adapter_config.json"
    about.write_text(json.dumps({**json.loads(about.read_text()), **changes}))
    with pytest.raises(InputError, match=message):
        analyze_adapter(adapter, base)


def test_folders_that_do_not_fit_are_refused(base, tmp_path):
    adapter = make(base, tmp_path / "adapter")
    with pytest.raises(InputError, match=r"adapter_config\.json is missing"):
        analyze_adapter(base)
    with pytest.raises(InputError, match="no such folder"):
        analyze_adapter(tmp_path / "nothing")
    other = tiny_base(tmp_path / "other")
    shutil.copy(adapter / "adapter_model.safetensors", other / "model.safetensors")
    with pytest.raises(InputError, match="no tensor for"):
        analyze_adapter(adapter, other)
    (adapter / "adapter_config.json").write_text("{")
    with pytest.raises(InputError, match="not readable as JSON"):
        analyze_adapter(adapter)


def test_a_factor_without_its_partner_is_refused(base, tmp_path):
    from safetensors.numpy import load_file

    adapter = make(base, tmp_path / "adapter")
    config = json.loads((adapter / "adapter_config.json").read_text())
    tensors = load_file(adapter / "adapter_model.safetensors")
    key = next(name for name in tensors if name.endswith("lora_B.weight"))
    with pytest.raises(InputError, match=r"no lora_B\.weight beside it"):
        analyze_adapter(AdapterState(config, {k: v for k, v in tensors.items() if k != key}))
    with pytest.raises(InputError, match="do not fit"):
        analyze_adapter(AdapterState(config, {**tensors, key: tensors[key][:, :2]}))
    with pytest.raises(InputError, match="no LoRA factors"):
        analyze_adapter(AdapterState(config, {}))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("factor", ["lora_A.weight", "lora_B.weight"])
def test_diverged_factors_are_refused_by_name(base, tmp_path, bad, factor):
    from safetensors.numpy import load_file

    adapter = make(base, tmp_path / "adapter")
    tensors = load_file(adapter / "adapter_model.safetensors")
    key = f"base_model.model.model.layers.1.mlp.up_proj.{factor}"
    tensors[key][0, 0] = bad
    state = AdapterState(json.loads((adapter / "adapter_config.json").read_text()), tensors)
    with pytest.raises(InputError, match=r"model\.layers\.1\.mlp\.up_proj holds NaN or infinite"):
        analyze_adapter(state)
