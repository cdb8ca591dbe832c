import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes
from safetensors.torch import save, save_file

from polymlops.analysis.lora_tensors import open_folder
from polymlops.errors import InputError

KINDS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@settings(deadline=None, max_examples=60)
@given(
    shape=array_shapes(min_dims=1, max_dims=4, max_side=5), kind=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 99)
)
def test_every_float_dtype_reads_as_the_library_reads_it(tmp_path_factory, shape, kind, seed):
    torch.manual_seed(seed)
    tensors = {"a": torch.randn(shape).to(KINDS[kind]), "b.weight": torch.randn(3)}
    folder = tmp_path_factory.mktemp("tensors")
    (folder / "model.safetensors").write_bytes(save(tensors, metadata={"format": "pt"}))
    opened = open_folder(folder, "model")
    assert opened.names() == ["a", "b.weight"]
    assert opened.shape("a") == shape
    np.testing.assert_array_equal(opened.read("a"), tensors["a"].double().numpy())
    np.testing.assert_array_equal(opened.read("b.weight"), tensors["b.weight"].numpy())


def test_an_empty_tensor_and_a_number_can_be_read(tmp_path):
    save_file({"a": torch.zeros(0, 3), "b": torch.tensor(2.5)}, tmp_path / "model.safetensors")
    opened = open_folder(tmp_path, "model")
    assert opened.read("a").shape == (0, 3)
    assert opened.read("b") == 2.5


def test_shards_are_read_by_their_index(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "model-1.safetensors")
    save_file({"b": torch.zeros(3)}, tmp_path / "model-2.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    opened = open_folder(tmp_path, "model")
    assert {name: opened.read(name).tolist() for name in opened.names()} == {"a": [1, 1], "b": [0, 0, 0]}
    (tmp_path / "model-2.safetensors").unlink()
    with pytest.raises(InputError, match=r"model-2\.safetensors is missing"):
        open_folder(tmp_path, "model")


def test_pickled_weights_are_refused_with_the_remedy(tmp_path):
    torch.save({}, tmp_path / "adapter_model.bin")
    with pytest.raises(InputError, match="safe_serialization=True"):
        open_folder(tmp_path, "adapter_model")


def test_quantised_weights_are_refused_when_they_are_read(tmp_path):
    save_file({"a": torch.ones(2, dtype=torch.uint8)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="stored as U8"):
        open_folder(tmp_path, "model").read("a")


@pytest.mark.parametrize("damage", ["cut", "text", "header", "empty"])
def test_a_damaged_file_is_named(tmp_path, damage):
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(64)}, path)
    whole = path.read_bytes()
    content = {
        "cut": whole[:-8],
        "text": b"version https://git-lfs.github.com/spec/v1",
        "header": whole[:8] + b"\xff" + whole[9:],
        "empty": b"",
    }
    path.write_bytes(content[damage])
    with pytest.raises(InputError, match=r"model\.safetensors: "):
        open_folder(tmp_path, "model")
