"""Adapters act on the base that they were made for, and only on it."""

from __future__ import annotations

import pytest
import torch

from polymlops.config.profiles import load_config
from polymlops.config.slices import adapter_spec
from polymlops.errors import InputError
from polymlops.models.loading import load_base, load_with_adapter
from polymlops.training.sft import attach_lora


@pytest.fixture
def adapter(small_base, tmp_path):
    """An adapter that does something, and the logits that it gives before it is saved."""
    import json

    from polymlops.models.loading import weights_digest

    torch.manual_seed(0)
    model = attach_lora(small_base, adapter_spec(load_config("demo", ["lora.r=4"]), "baseline", 1)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.05)
        logits = model(torch.arange(20)[None]).logits
    model.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    about = {"base_weights_sha256": weights_digest(small_base)}
    (tmp_path / "adapter" / "adapter.json").write_text(json.dumps(about))
    return tmp_path / "adapter", logits


def test_a_loaded_adapter_gives_its_own_logits_and_not_those_of_the_base(adapter, small_base):
    folder, expected = adapter
    ids = torch.arange(20)[None]
    with torch.no_grad():
        loaded = load_with_adapter(small_base, folder)(ids).logits
        bare = load_base(small_base)(ids).logits
    torch.testing.assert_close(loaded, expected, rtol=1e-4, atol=1e-4)
    assert (loaded - bare).abs().max() > 0.1


def test_an_adapter_of_another_base_is_refused(adapter, small_base, tmp_path):
    other = load_base(small_base)
    with torch.no_grad():
        other.model.norm.weight.mul_(1.01)
    other.save_pretrained(tmp_path / "other")
    with pytest.raises(InputError, match="another base"):
        load_with_adapter(tmp_path / "other", adapter[0])


def test_a_folder_without_an_adapter_is_named(small_base, tmp_path):
    with pytest.raises(InputError, match=r"no adapter"):
        load_with_adapter(small_base, tmp_path)
