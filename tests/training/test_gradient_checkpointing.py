"""Checkpointed layers are computed twice, and no loss or gradient changes: in the parts, and in whole runs."""

from __future__ import annotations

import copy
from collections import Counter

import pytest
import torch
from grpo_parts import OVERRIDES, count_of_e, spec_of
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file

from polymlops.config.profiles import load_config
from polymlops.config.schema import PolychromicConfig
from polymlops.config.slices import adapter_spec
from polymlops.training.grpo import train_grpo
from polymlops.training.grpo_forward import Rows, token_scores
from polymlops.training.polychromic import DiversityTerm, lexical_distances
from polymlops.training.sft import train_adapter

POLYCHROMIC = ("polychromic.samples=3", "polychromic.every=1", "polychromic.max_new_tokens=12")


@pytest.fixture
def adapted(tiny_model):
    """The tiny model in training, with an adapter that has much dropout."""
    torch.manual_seed(1)
    targets = ["q_proj", "v_proj", "down_proj"]
    config = LoraConfig(r=2, target_modules=targets, init_lora_weights=False, lora_dropout=0.5)
    return get_peft_model(copy.deepcopy(tiny_model), config).train()


@pytest.fixture
def passes(monkeypatch):
    """How often each layer of any Qwen3 is computed."""
    from transformers.models.qwen3.modeling_qwen3 import Qwen3MLP

    forward, counted = Qwen3MLP.forward, Counter()

    def counting(self, *inputs):
        counted[id(self)] += 1
        return forward(self, *inputs)

    monkeypatch.setattr(Qwen3MLP, "forward", counting)
    return counted


def gradient(model):
    found = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    model.zero_grad()
    return found


def test_the_diversity_terms_gradient_is_the_same_and_without_dropout(adapted, passes):
    term = DiversityTerm(
        PolychromicConfig(samples=4, max_new_tokens=6), lambda ids: " ".join(map(str, ids)), lexical_distances
    )

    def step():
        passes.clear()
        result = term.step(adapted, [[5, 9, 12], [7, 8]], seed=3, step=0)
        sampled = max(passes.values())
        result.surrogate.backward()
        return result.surrogate.item(), gradient(adapted), max(passes.values()) - sampled

    plain, exact, again = step()
    adapted.activation_checkpointing_enable()
    value, found, recomputed = step()
    assert (again, recomputed) == (0, 1)
    assert value == pytest.approx(plain, rel=1e-6)
    assert exact.norm() > 1e-3
    torch.testing.assert_close(found, exact, rtol=1e-4, atol=1e-6)
    assert adapted.training
    assert all(module.training for module in adapted.modules())


def test_completions_are_scored_alike_without_a_cache(adapted, passes):
    for module in adapted.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # as GRPO trains
    ids = torch.tensor([[0, 5, 9, 6, 8, 2], [7, 3, 4, 10, 2, 0], [0, 5, 9, 3, 3, 3]])
    mask = torch.tensor([[0, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0], [0, 1, 1, 1, 1, 1]])

    def scored():
        passes.clear()
        scores = token_scores(adapted, Rows(ids, mask, 3), 0.7, with_entropy=True)
        scores.log_probs_BT.sum().backward()
        return scores, gradient(adapted), max(passes.values())

    plain, exact, _ = scored()
    adapted.activation_checkpointing_enable()
    found, ours, computed = scored()
    assert computed == 2  # on the way there, and on the way back
    torch.testing.assert_close(found.log_probs_BT, plain.log_probs_BT, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.entropy_BT, plain.entropy_BT, rtol=0, atol=1e-5)
    assert exact.norm() > 1e-3
    torch.testing.assert_close(ours, exact, rtol=1e-3, atol=1e-4)


def test_polychromic_training_ends_in_the_same_adapter(small_base, few_rows, make_job, passes):
    jobs, counts = {}, {}
    for on in ("true", "false"):
        passes.clear()
        jobs[on] = make_job(on)
        config = load_config("demo", [*OVERRIDES, *POLYCHROMIC, f"sft.gradient_checkpointing={on}"])
        train_adapter(adapter_spec(config, "polychromic", 1), small_base, few_rows, jobs[on])
        counts[on] = max(passes.values())
    assert counts["true"] > counts["false"]
    assert _close(jobs["true"], jobs["false"])


# TRL turns checkpointing off around the reference by the name that transformers gives up.
@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing_:FutureWarning")
def test_grpo_ends_in_the_same_adapter(small_base, few_rows, start, make_job):
    jobs = {on: make_job(str(on)) for on in (True, False)}
    for on, job in jobs.items():
        spec = spec_of(gradient_checkpointing=on, steps=3, checkpoint_every=3)
        train_grpo(spec, small_base, start, few_rows, count_of_e, job)
    assert _close(jobs[True], jobs[False])


def _close(ours, theirs):
    found, wanted = (load_file(job.output / "adapter_model.safetensors") for job in (ours, theirs))
    assert found.keys() == wanted.keys()
    return all(torch.allclose(found[name], wanted[name], atol=2e-4) for name in found)
