"""The logit lens: the last layer is the model, the first what its embeddings say, a change shows from its layer on."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from test_mechanistic_attention import passages

from polymlops.analysis.mechanistic import Passage, compare_depth, measure_depth
from polymlops.analysis.mechanistic_lens import lens_logits
from polymlops.analysis.mechanistic_readings import decoder_of, residual_stream
from polymlops.errors import InputError


def changed_in(model, layer):
    """A copy whose feed-forward part of one layer writes something else."""
    other = copy.deepcopy(model)
    torch.manual_seed(1)
    with torch.no_grad():
        weight = other.model.layers[layer].mlp.down_proj.weight
        weight.add_(torch.randn_like(weight) * 0.3)
    return other


def test_the_last_layer_is_the_model_exactly(tiny_model):
    for passage in passages(3):
        with torch.no_grad():
            logits = tiny_model(input_ids=torch.tensor([passage.tokens])).logits[0, passage.measured]
        foretold = lens_logits(tiny_model, passage)
        assert len(foretold) == 3
        assert torch.equal(foretold[-1], logits)
        assert not torch.allclose(foretold[-2], logits, atol=0.1)


def test_the_first_layer_reads_the_embeddings(tiny_model):
    passage = passages(1)[0]
    with torch.no_grad():
        embedded = tiny_model.model.embed_tokens(torch.tensor([passage.tokens]))
        expected = tiny_model.lm_head(tiny_model.model.norm(embedded))[0, passage.measured]
    assert torch.equal(lens_logits(tiny_model, passage)[0], expected)


def test_the_stream_differs_from_what_transformers_calls_the_last_hidden_state(tiny_model):
    tokens = torch.tensor([passages(1)[0].tokens])
    with torch.no_grad(), residual_stream(tiny_model) as stream:
        hidden = tiny_model(input_ids=tokens, output_hidden_states=True).hidden_states
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(stream[:-1], hidden[:-1], strict=True))
    assert torch.equal(tiny_model.model.norm(stream[-1]), hidden[-1])
    with torch.no_grad():
        tiny_model(input_ids=tokens[:, :4])
    assert stream[0].shape[1] == tokens.shape[1]  # the hooks are gone


@pytest.mark.parametrize("layer", [0, 1])
def test_arms_part_where_their_weights_do(tiny_model, layer):
    profile = measure_depth(tiny_model, changed_in(tiny_model, layer), passages())
    assert profile.kl_PL[:, : layer + 1] == pytest.approx(0, abs=1e-12)
    assert (profile.kl_PL[:, layer + 1 :] > 1e-4).all()
    compared = compare_depth(("a", "b"), [profile], np.random.default_rng(0))
    assert compared.half_way is not None
    assert compared.half_way >= layer + 1
    assert f"parts from a by layer {compared.half_way} of 2" in compared.sentence


def test_divergence_is_that_of_the_models_outputs(tiny_model):
    other, passage = changed_in(tiny_model, 0), passages(1)[0]
    profile = measure_depth(tiny_model, other, [passage])
    with torch.no_grad():
        p, q = (
            torch.softmax(model(input_ids=torch.tensor([passage.tokens])).logits[0].double(), -1).numpy()
            for model in (tiny_model, other)
        )
    by_hand = [(p[t] * np.log(p[t] / q[t])).sum() for t in range(passage.start, len(passage.tokens) - 1)]
    entropy = [-(q[t] * np.log(q[t])).sum() for t in range(passage.start, len(passage.tokens) - 1)]
    assert profile.kl_PL[0, -1] == pytest.approx(np.mean(by_hand), rel=1e-6)
    assert profile.entropy_b_PL[0, -1] == pytest.approx(np.mean(entropy), rel=1e-6)


def test_a_model_does_not_part_from_itself(tiny_model):
    compared = compare_depth(("a", "a"), [measure_depth(tiny_model, tiny_model, passages())], np.random.default_rng(0))
    assert compared.half_way is None
    assert "at every layer" in compared.sentence
    assert [row["kl"] for row in compared.rows()] == [0, 0, 0]


def test_an_adapter_that_is_not_merged_is_read_too(tiny_model):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(3)
    lora = LoraConfig(r=2, target_modules=["v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    wrapped = get_peft_model(copy.deepcopy(tiny_model), lora).eval()
    merged = copy.deepcopy(wrapped).merge_and_unload()
    assert len(decoder_of(wrapped).layers) == 2
    profile = measure_depth(wrapped, merged, passages(2))
    assert profile.kl_PL == pytest.approx(0, abs=1e-6)
    assert measure_depth(wrapped, tiny_model, passages(2)).kl_PL[:, -1].min() > 1e-5


def test_models_that_no_lens_fits(tiny_model):
    from transformers import GPT2Config, GPT2LMHeadModel

    other = GPT2LMHeadModel(GPT2Config(vocab_size=128, n_positions=64, n_embd=8, n_layer=1, n_head=1))
    with pytest.raises(InputError, match="GPT2LMHeadModel"):
        measure_depth(other, other, passages(1))
    shallow = copy.deepcopy(tiny_model)
    shallow.model.layers = shallow.model.layers[:1]
    shallow.config.num_hidden_layers = 1
    with pytest.raises(InputError, match="different depth"):
        measure_depth(tiny_model, shallow, passages(1))


def test_a_model_that_scales_its_logits_is_refused(tiny_model):
    scaled = copy.deepcopy(tiny_model)
    scaled.lm_head.register_forward_hook(lambda module, args, output: output + torch.rand(()))
    with pytest.raises(InputError, match="no lens fits"):
        lens_logits(scaled, Passage("p", (3, 4, 5, 6, 7), 2))
