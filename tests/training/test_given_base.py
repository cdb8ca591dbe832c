"""A model that is taken as it is: what its artifact holds, what its adapters name, and what is refused."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from polymlops.config.base_models import (
    FittedEncoderConfig,
    FolderEncoderConfig,
    FolderModelConfig,
    GivenModelConfig,
)
from polymlops.errors import ArtifactError, InputError
from polymlops.models.encoder import embed, load_encoder
from polymlops.models.loading import load_base, load_tokenizer, weights_digest
from polymlops.models.references import model_folder
from polymlops.training.given_base import given_model_spec, take_base_model


@pytest.fixture
def take(small_dataset, make_job):
    def run(folder, **settings):
        config: GivenModelConfig = FolderModelConfig(path=folder, **settings)
        job = make_job(f"take-{len(settings)}-{folder.name}")
        return take_base_model(given_model_spec(config), small_dataset, job), job.output

    return run


def test_the_artifact_refers_to_the_weights_and_loads_as_the_folder_does(take, qwen3_folder):
    metrics, base = take(qwen3_folder)
    assert not list(base.glob("*.safetensors"))
    assert model_folder(base) == qwen3_folder.resolve()
    assert weights_digest(base) == weights_digest(qwen3_folder)
    ids = torch.arange(20)[None]
    with torch.no_grad():
        ours, theirs = load_base(base), load_base(qwen3_folder)
        torch.testing.assert_close(ours(ids).logits, theirs(ids).logits)
    assert ours.generation_config.eos_token_id == [2, 0]
    assert load_tokenizer(base).chat_template.startswith("{%- set enable_thinking = false %}")
    assert metrics["base/context"] == 512


def test_bfloat16_is_half_as_exact(take, llama_folder):
    _, base = take(llama_folder, dtype="bfloat16")
    model = load_base(base)
    assert model.dtype == torch.bfloat16
    with torch.no_grad():
        torch.testing.assert_close(
            model(torch.arange(20)[None]).logits.float(),
            load_base(llama_folder)(torch.arange(20)[None]).logits,
            rtol=0.1,
            atol=0.1,
        )


def test_the_fitted_encoder_is_of_the_training_replies_in_the_bases_tokens(take, llama_folder, small_dataset):
    from polymlops.data.prompts import load_split

    _, base = take(llama_folder)
    replies = load_split(small_dataset, "train_sft")["reply"].to_list()[:6]
    vectors = embed(load_encoder(base / "encoder"), replies)
    assert vectors.shape[0] == 6
    assert abs((vectors**2).sum(1) - 1).max() < 1e-5
    assert (base / "encoder" / "model.safetensors").is_file() or list((base / "encoder").rglob("*.safetensors"))


def test_another_encoder_is_referred_to(take, llama_folder, small_base):
    _, base = take(llama_folder, encoder=FolderEncoderConfig(path=small_base / "encoder"))
    assert [path.name for path in (base / "encoder").iterdir()] == ["reference.json"]
    texts = ["one text", "and another"]
    expected = embed(load_encoder(small_base / "encoder"), texts)
    assert (embed(load_encoder(base / "encoder"), texts) == expected).all()


def test_a_folder_that_is_no_encoder_is_refused(take, llama_folder, tmp_path):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InputError, match="no sentence-transformers model"):
        take(llama_folder, encoder=FolderEncoderConfig(path=tmp_path / "nothing"))


def test_what_changes_or_goes_after_it_was_taken_is_noticed(take, llama_folder, tmp_path):
    folder = shutil.copytree(llama_folder, tmp_path / "mine")
    _, base = take(folder)
    before = given_model_spec(FolderModelConfig(path=folder))
    about = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(about | {"rms_norm_eps": 1e-2}))
    assert given_model_spec(FolderModelConfig(path=folder)) != before
    with pytest.raises(ArtifactError, match="have changed since"):
        load_base(base)
    shutil.rmtree(folder)
    with pytest.raises(ArtifactError, match="is gone: put it back"):
        load_base(base)


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without CUDA")
def test_four_bits_are_refused_without_a_gpu(take, llama_folder):
    with pytest.raises(InputError, match=r"needs a CUDA device.*base_model\.quantization=none"):
        take(llama_folder, quantization="nf4", dtype="bfloat16")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "no-such"}, "config.json cannot be used"),
        ({"model_type": "t5"}, "t5 model does not continue text"),
        ({"vocab_size": 30}, "the tokenizer has [0-9]+ tokens and the model 30"),
    ],
)
def test_what_is_no_causal_language_model_is_refused(take, llama_folder, tmp_path, changes, message):
    folder = shutil.copytree(llama_folder, tmp_path / "odd")
    about = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(about | changes))
    with pytest.raises(InputError, match=message):
        take(folder)


def test_a_missing_folder_is_named_before_anything_runs(tmp_path):
    with pytest.raises(InputError, match="no such folder: check the path"):
        given_model_spec(FolderModelConfig(path=tmp_path / "gone", encoder=FittedEncoderConfig()))
