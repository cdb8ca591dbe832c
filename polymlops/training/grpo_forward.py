"""Log-probabilities of completions that share prompts: a prompt is computed once, its cache serves all of its group.

TRL computes each prompt again for each of its completions, and pads everything to the longest row. Here the distinct
prompts of a batch go through the model first; their keys and values, differentiable where gradients are on, are handed
to the completions that continue them, and what nobody reads (leading and trailing padding, the last token's successor)
is not computed. The result and its gradient are TRL's to rounding: attention sees the same tokens at the same
distances. Layers that are checkpointed take no cache: each row is then computed whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import pad

from polymlops.models.checkpointing import checkpoints_layers


@dataclass(frozen=True, slots=True)
class Rows:
    """Prompts padded on the left, then completions padded on the right, neither empty.

    `ids` and `mask` (1 where there is a token) are (B, prompt + T); `width` is T, the columns of the completions.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    width: int


@dataclass(frozen=True, slots=True)
class TokenScores:
    """Of each completion token: its log-probability, and the entropy (nats) of what it was drawn from; (B, T).

    Both are under the tempered distribution, and 0 where a completion has no token. The entropy has no gradient.
    """

    log_probs_BT: torch.Tensor
    entropy_BT: torch.Tensor | None


def token_scores(model: Any, rows: Rows, temperature: float, with_entropy: bool) -> TokenScores:
    """Score the completions; `model` is a causal LM whose cache can be indexed by row, `temperature` divides logits."""
    prompts = _Prompts.distinct(rows.ids[:, : -rows.width], rows.mask[:, : -rows.width])
    own = rows.mask[:, -rows.width :]
    used = int(own.sum(1).max())
    targets, own = rows.ids[:, -rows.width :][:, :used], own[:, :used]
    next_logits = _whole_rows if checkpoints_layers(model) else _next_logits
    log_probs_BTV = torch.log_softmax(next_logits(model, prompts, targets, own) / temperature, -1)
    log_probs = log_probs_BTV.gather(2, targets[..., None])[..., 0] * own
    rest = (0, rows.width - used)
    entropy = None
    if with_entropy:
        with torch.no_grad():
            entropy = pad(torch.special.entr(log_probs_BTV.exp()).sum(-1) * own, rest)
    return TokenScores(pad(log_probs, rest), entropy)


@dataclass(frozen=True, slots=True)
class _Prompts:
    """The distinct prompts of a batch without common padding, (P, L), and which of them each row continues, (B,)."""

    ids: torch.Tensor
    mask: torch.Tensor
    of_row: torch.Tensor

    @classmethod
    def distinct(cls, ids: torch.Tensor, mask: torch.Tensor) -> _Prompts:
        """Equal prompts are one, whatever stands in their padding."""
        keys, of_row = torch.unique(ids.masked_fill(mask == 0, -1), dim=0, return_inverse=True)
        keys = keys[:, (keys >= 0).any(0)]
        return cls(keys.clamp(min=0), (keys >= 0).long(), of_row)


def _next_logits(model: Any, prompts: _Prompts, targets: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """Logits from which each target was drawn, (B, T, V)."""
    positions = (prompts.mask.cumsum(1) - 1).clamp(min=0)
    first = model(
        input_ids=prompts.ids,
        attention_mask=prompts.mask,
        position_ids=positions,
        use_cache=True,
        logits_to_keep=1,
    )
    logits = first.logits[prompts.of_row]
    if targets.shape[1] == 1:
        return logits
    cache = first.past_key_values
    cache.batch_select_indices(prompts.of_row)
    begun = prompts.mask[prompts.of_row]
    later = model(
        input_ids=targets[:, :-1],
        attention_mask=torch.cat([begun, own[:, :-1]], 1),
        position_ids=begun.sum(1, keepdim=True) + torch.arange(targets.shape[1] - 1, device=begun.device),
        past_key_values=cache,
        use_cache=True,
    )
    return torch.cat([logits, later.logits], 1)


def _whole_rows(model: Any, prompts: _Prompts, targets: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """The same logits without a cache."""
    mask = torch.cat([prompts.mask[prompts.of_row], own[:, :-1]], 1)
    return model(
        input_ids=torch.cat([prompts.ids[prompts.of_row], targets[:, :-1]], 1),
        attention_mask=mask,
        position_ids=(mask.cumsum(1) - 1).clamp(min=0),
        use_cache=False,
        logits_to_keep=targets.shape[1],
    ).logits
