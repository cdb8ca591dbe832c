"""Arithmetic of a decoder's work, and what the device can do: the share of the roofline in benchmarks/gpu.py.

A matrix product of N weights takes 2 N floating-point operations a token; causal attention at c tokens in sight
another 4 c heads head_dim a layer. With frozen base weights a training step is a forward pass and the backward pass of
the activations, which costs as much again, and 6 operations for each weight of the adapter. Only useful work counts:
each prompt once, no padding, nothing that is computed twice.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

SIDE = 8192  # of the square matrices whose product is the roofline
ROUNDS = 20


@dataclass(frozen=True)
class Shape:
    """A Qwen3 decoder."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    key_value_heads: int
    head_dim: int
    vocabulary: int

    @property
    def weights(self) -> int:
        """Weights that a token is multiplied with, those of the tied head included."""
        attention = 2 * self.hidden * self.head_dim * (self.heads + self.key_value_heads)
        return self.layers * (attention + 3 * self.hidden * self.intermediate) + self.vocabulary * self.hidden

    def forward(self, tokens: float, sight: float) -> float:
        """Operations of a forward pass over tokens that see `sight` tokens on average."""
        return tokens * (2 * self.weights + 4 * self.layers * self.heads * self.head_dim * sight)

    def trained(self, tokens: float, sight: float, adapter: int) -> float:
        """Operations of a forward and backward pass where only an adapter of so many weights is trained."""
        return 2 * self.forward(tokens, sight) + 6 * adapter * tokens


QWEN3_06B = Shape(28, 1024, 3072, 16, 8, 128, 151_936)
TINY = Shape(2, 64, 128, 4, 2, 16, 1024)


def matmul_roofline() -> float:
    """Operations a second of one large bfloat16 matrix product on the current CUDA device, the fastest of many."""
    import torch

    a, b = (torch.randn(SIDE, SIDE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    best = float("inf")
    for _ in range(ROUNDS):
        torch.cuda.synchronize()
        started = time.perf_counter()
        torch.matmul(a, b)
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * SIDE**3 / best
