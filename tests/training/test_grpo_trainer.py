"""The GRPO trainer against TRL's own: log-probabilities, loss, gradient, advantages; and the exact policy gradient."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from grpo_parts import spec_of

from polymlops.generation.encoding import encode_chat
from polymlops.training.polychromic import sequence_log_probs


def first_batch(trainer):
    """The inputs of the first loss, all completions in one piece, as the trainer prepares them."""
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1  # set by train(), which is not called here
    return trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))


def test_the_gradient_is_the_policy_gradient_of_the_sampled_tokens(build):
    trainer = build(spec_of(micro_batch=12))
    inputs = first_batch(trainer)
    trainer.compute_loss(trainer.model, inputs).backward()
    found = torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]).double()
    trainer.model.zero_grad()

    groups, config = trainer.groups, trainer.config
    rewards_GK = groups.rewards_GK
    advantages = torch.tensor((rewards_GK - rewards_GK.mean(1, keepdims=True)).ravel())
    prompts = [encode_chat(trainer.processing_class, row["prompt"]) for row in trainer.train_dataset.select(range(3))]
    repeated = [prompt for prompt in prompts for _ in range(config.samples)]
    log_probs = sequence_log_probs(trainer.model, repeated, groups.candidates, config.temperature)
    (-(advantages * log_probs).sum() / (len(repeated) * config.max_new_tokens)).backward()
    exact = torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]).double()
    assert exact.norm() > 1e-4
    torch.testing.assert_close(found, exact, rtol=1e-3, atol=1e-6 * float(exact.abs().max()) + 1e-8)


def move(trainer):
    """Noise on the policy, so that its KL to the reference is not 0."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))


def loss_and_gradient(trainer, batches):
    loss = sum(trainer.compute_loss(trainer.model, inputs) for inputs in batches)
    loss.backward()
    gradient = torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])
    trainer.model.zero_grad()
    return float(loss.detach()), gradient


def test_shared_prompts_leave_trls_loss_and_gradient_as_they_are(build, monkeypatch):
    from trl import GRPOTrainer

    from polymlops.training.grpo_trainer import SetTrainer

    trainer = build(spec_of(micro_batch=12, beta=0.5))
    move(trainer)
    rows = next(iter(trainer.get_train_dataloader()))
    results = []
    for scores in (
        SetTrainer._get_per_token_logps_and_entropies,
        GRPOTrainer._get_per_token_logps_and_entropies,
    ):
        monkeypatch.setattr(SetTrainer, "_get_per_token_logps_and_entropies", scores)
        trainer.model.train()
        trainer.current_gradient_accumulation_steps, trainer._buffered_inputs = 1, None
        results.append(loss_and_gradient(trainer, [trainer._prepare_inputs(rows)]))
    (ours, gradient), (theirs, their_gradient) = results
    assert ours == pytest.approx(theirs, rel=1e-5)
    assert (gradient - their_gradient).norm() < 1e-4 * their_gradient.norm()
    logged = trainer._metrics["train"]
    assert logged["kl"][0] > 1e-3
    assert logged["kl"][0] == pytest.approx(logged["kl"][1], rel=1e-4)
    assert logged["entropy"][0] == pytest.approx(logged["entropy"][1], rel=1e-5)


def test_micro_batches_hold_whole_groups_and_add_up_to_the_step(build):
    results = []
    for size, name in ((12, "whole"), (4, "pieces")):
        trainer = build(spec_of(micro_batch=size), name=name)
        trainer.model.train()
        trainer.current_gradient_accumulation_steps = 12 // size
        batches = []
        for rows in itertools.islice(trainer.get_train_dataloader(), 12 // size):
            batches.append(trainer._prepare_inputs(rows))
            trainer._step += 1
        assert all(len(batch["prompt_ids"].unique(dim=0)) == size // 4 for batch in batches)
        results.append(loss_and_gradient(trainer, batches))
    (whole, gradient), (pieces, summed) = results
    assert whole == pytest.approx(pieces, rel=1e-4, abs=1e-8)
    assert (gradient - summed).norm() < 1e-4 * gradient.norm()


def test_mean_at_k_1_has_the_advantages_of_trl(build, monkeypatch):
    from trl import GRPOTrainer

    trainer = build(spec_of(micro_batch=12))
    theirs = {}
    original = GRPOTrainer._generate_and_score_completions

    def spied(self, inputs):
        output = original(self, inputs)
        theirs["advantages"] = output["advantages"].clone()
        return output

    monkeypatch.setattr(GRPOTrainer, "_generate_and_score_completions", spied)
    trainer.model.train()
    output = trainer._generate_and_score_completions(next(iter(trainer.get_train_dataloader())))
    assert output["advantages"].abs().max() > 0
    torch.testing.assert_close(output["advantages"], theirs["advantages"], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": "max", "k": 2},
        {"objective": "polychromic", "k": 2, "reward_floor": -0.5},
        {"objective": "selected", "k": 3},
        {"objective": "selected", "k": 3, "selector": "length", "baseline": "loo"},
        {"objective": "diversity", "k": 2, "distance": "lexical"},
        {"objective": "coverage", "k": 2, "pass_threshold": 0.15},
        {"objective": "coverage", "k": 3, "pass_threshold": 0.15, "coverage_distance": 0.5, "distance": "lexical"},
    ],
    ids=lambda changes: "-".join(str(value) for value in changes.values()),
)
def test_every_objective_has_advantages_that_sum_to_zero_and_differ_from_the_mean(build, changes):
    trainer = build(spec_of(micro_batch=12, samples=12, prompts=1, **changes))
    first_batch(trainer)
    ours_GK = trainer.groups.advantages(trainer.config)
    plain_GK = trainer.groups.advantages(spec_of(samples=12, prompts=1, micro_batch=12).grpo)
    np.testing.assert_allclose(ours_GK.sum(1), 0, atol=1e-9)
    assert np.abs(ours_GK).max() > 1e-6
    assert np.abs(ours_GK - plain_GK).max() > 1e-6
