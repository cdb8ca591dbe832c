"""A model's weights are all there, whole and unpickled, or the fault is named with its remedy."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from polymlops.errors import InputError
from polymlops.models.weight_files import content_digest, weight_files, weights_digest


@pytest.fixture
def sharded(llama_folder, tmp_path):
    from transformers import LlamaForCausalLM

    LlamaForCausalLM.from_pretrained(llama_folder).save_pretrained(tmp_path / "sharded", max_shard_size="60KB")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 1
    return tmp_path / "sharded"


@pytest.fixture
def pickled(llama_folder, tmp_path):
    folder = shutil.copytree(llama_folder, tmp_path / "pickled", ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save({}, folder / "pytorch_model.bin")
    return folder


def test_whole_weights_are_listed_in_order(sharded):
    names = [path.name for path in weight_files(sharded, allow_pickle=False)]
    assert names == sorted(names)
    assert len(names) == len(list(sharded.glob("*.safetensors")))


def test_a_missing_shard_is_named(sharded):
    gone = sorted(sharded.glob("*.safetensors"))[1]
    gone.unlink()
    with pytest.raises(InputError, match=rf"shard {gone.name} is missing \(1 of \d+\): fetch it again"):
        weight_files(sharded, allow_pickle=False)


def test_a_cut_shard_is_named(sharded):
    cut = sorted(sharded.glob("*.safetensors"))[1]
    cut.write_bytes(cut.read_bytes()[:-100])
    with pytest.raises(InputError, match=rf"{cut.name}: cut off or damaged"):
        weight_files(sharded, allow_pickle=False)


def test_an_index_that_is_none_is_named(sharded):
    (sharded / "model.safetensors.index.json").write_text(json.dumps({"weights": []}))
    with pytest.raises(InputError, match="not an index of shards"):
        weight_files(sharded, allow_pickle=False)


def test_pickled_weights_are_refused_unless_allowed_by_name(pickled):
    with pytest.raises(InputError, match=r"pytorch_model\.bin is pickled.*allow_pickle=true"):
        weight_files(pickled, allow_pickle=False)
    assert [path.name for path in weight_files(pickled, allow_pickle=True)] == ["pytorch_model.bin"]


@pytest.mark.parametrize(
    ("kept", "message"),
    [((), "no model here, config.json is missing"), (("config.json",), "no weights here")],
)
def test_what_is_missing_is_said(llama_folder, tmp_path, kept, message):
    for name in kept:
        shutil.copy(llama_folder / name, tmp_path)
    with pytest.raises(InputError, match=message):
        weight_files(tmp_path, allow_pickle=False)
    with pytest.raises(InputError, match="no such folder"):
        weight_files(tmp_path / "gone", allow_pickle=False)


def test_digests_follow_the_content_and_not_the_place(llama_folder, qwen3_folder, tmp_path):
    copy = shutil.copytree(llama_folder, tmp_path / "copy")
    for digest in (content_digest, weights_digest):
        assert digest(copy) == digest(llama_folder) != digest(qwen3_folder)
    (copy / "tokenizer_config.json").write_text("{}")
    assert weights_digest(copy) == weights_digest(llama_folder)
    assert content_digest(copy) != content_digest(llama_folder)
