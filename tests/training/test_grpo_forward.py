"""Shared prompts and merged adapters: the numbers and gradients of the plain way, which repeats every prompt."""

from __future__ import annotations

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model

from polymlops.generation.decoding import Decoding, sample_candidates
from polymlops.training.grpo_forward import Rows, token_scores
from polymlops.training.grpo_merging import merged

PROMPTS = ((5, 9, 11), (7,), (5, 9, 11, 4, 3))
COMPLETIONS = ((6, 8, 2), (10,), (3, 3, 3, 3, 2), (12, 2))
OF_ROW = (0, 1, 0, 2)
TEMPERATURE = 0.7


@pytest.fixture
def adapted(tiny_model):
    """The tiny model in float64 with a LoRA adapter that does something."""
    torch.manual_seed(1)
    config = LoraConfig(r=2, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights=False)
    return get_peft_model(copy.deepcopy(tiny_model).double(), config).eval()


def rows_of(junk=0, spare=0):
    """Padding holds `junk`; `spare` columns on either side are padding in every row."""
    left, right = 5 + spare, 5 + spare
    ids, mask = torch.full((len(OF_ROW), left + right), junk), torch.zeros(len(OF_ROW), left + right, dtype=torch.long)
    for row, (prompt, completion) in enumerate(zip((PROMPTS[p] for p in OF_ROW), COMPLETIONS, strict=True)):
        whole = slice(left - len(prompt), left + len(completion))
        ids[row, whole] = torch.tensor([*prompt, *completion])
        mask[row, whole] = 1
    return Rows(ids, mask, right)


def plain_scores(model, row):
    """Log-probabilities and entropies of one completion, alone and without padding."""
    prompt, completion = PROMPTS[OF_ROW[row]], COMPLETIONS[row]
    logits = model(input_ids=torch.tensor([[*prompt, *completion]])).logits[0, len(prompt) - 1 : -1]
    log_probs = torch.log_softmax(logits / TEMPERATURE, -1)
    entropy = torch.distributions.Categorical(logits=logits / TEMPERATURE).entropy()
    return log_probs[torch.arange(len(completion)), list(completion)], entropy


def gradient(model):
    found = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    model.zero_grad()
    return found


@pytest.mark.parametrize(("junk", "spare"), [(0, 0), (9, 0), (0, 3)], ids=["tight", "junk-in-padding", "spare-columns"])
def test_scores_and_gradient_are_those_of_each_completion_alone(adapted, junk, spare):
    rows = rows_of(junk, spare)
    scores = token_scores(adapted, rows, TEMPERATURE, with_entropy=True)
    assert scores.log_probs_BT.shape == scores.entropy_BT.shape == (len(OF_ROW), rows.width)
    weights = torch.arange(1.0, len(OF_ROW) + 1, dtype=torch.float64)
    (scores.log_probs_BT.sum(1) * weights).sum().backward()
    found = gradient(adapted)
    for row, completion in enumerate(COMPLETIONS):
        log_probs, entropy = plain_scores(adapted, row)
        (log_probs.sum() * weights[row]).backward()
        torch.testing.assert_close(scores.log_probs_BT[row, : len(completion)], log_probs, rtol=0, atol=1e-6)
        torch.testing.assert_close(scores.entropy_BT[row, : len(completion)], entropy, rtol=0, atol=1e-6)
        assert not scores.log_probs_BT[row, len(completion) :].any()
        assert not scores.entropy_BT[row, len(completion) :].any()
    exact = gradient(adapted)
    assert exact.norm() > 1
    assert (found - exact).norm() < 1e-6 * exact.norm()  # the model's norms round to float32


def test_a_prompt_is_computed_once_for_all_that_continue_it(adapted):
    computed = []
    hook = adapted.get_input_embeddings().register_forward_pre_hook(lambda _, inputs: computed.append(inputs[0].shape))
    token_scores(adapted, rows_of(), TEMPERATURE, with_entropy=False)
    hook.remove()
    assert computed == [(3, 5), (4, 4)]  # three prompts; of the completions all but the last column


def test_completions_of_one_token_need_no_second_pass(adapted):
    rows = rows_of()
    short = Rows(rows.ids[:, :6], rows.mask[:, :6], 1)
    scores = token_scores(adapted, short, TEMPERATURE, with_entropy=False)
    assert scores.entropy_BT is None
    for row in range(len(OF_ROW)):
        torch.testing.assert_close(scores.log_probs_BT[row, 0], plain_scores(adapted, row)[0][0], rtol=0, atol=1e-6)


def test_a_merged_adapter_samples_the_same_and_leaves_every_weight_as_it_was(tiny_model):
    torch.manual_seed(1)
    config = LoraConfig(r=2, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights=False)
    model = get_peft_model(copy.deepcopy(tiny_model), config).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    sample = ([[5, 9, 11], [7, 7]], [1, 2], 3, Decoding(0.8, 1.0, 0, 8))
    plain = sample_candidates(model, *sample)
    ids, weight = torch.tensor([[5, 9, 11]]), next(name for name in before if "q_proj.base_layer" in name)
    with torch.no_grad():
        wanted = model(input_ids=ids).logits
        with merged(model):
            assert (model.state_dict()[weight] - before[weight]).abs().max() > 0.01
            torch.testing.assert_close(model(input_ids=ids).logits, wanted, rtol=0, atol=1e-4)
            together = sample_candidates(model, *sample)
    assert [[c.tokens for c in group] for group in together] == [[c.tokens for c in group] for group in plain]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with torch.no_grad():
        assert torch.equal(model(input_ids=ids).logits, wanted)


def test_an_error_while_merged_leaves_the_weights_as_they_were(adapted):
    model = adapted.float()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(RuntimeError, match="on the way"), merged(model):
        raise RuntimeError("on the way")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(getattr(module, "merged_adapters", []) for module in model.modules())


def test_nothing_is_merged_in_less_than_float32(adapted):
    model = adapted.bfloat16()
    weight = next(value for name, value in model.state_dict().items() if "q_proj.base_layer" in name)
    kept = weight.clone()
    with merged(model):
        assert torch.equal(weight, kept)
        assert not any(getattr(module, "merged_adapters", []) for module in model.modules())


def test_a_head_that_is_tied_to_the_embedding_is_not_merged(tiny_model):
    tied = copy.deepcopy(tiny_model)
    tied.lm_head.weight = tied.model.embed_tokens.weight
    model = get_peft_model(tied, LoraConfig(r=2, target_modules=["q_proj", "lm_head"], init_lora_weights=False))
    kept = tied.model.embed_tokens.weight.detach().clone()
    with merged(model.eval()):
        assert torch.equal(tied.model.embed_tokens.weight, kept)
