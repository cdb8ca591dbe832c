"""One step of Muon on the demo's matrices beside torch.optim.Muon: `python benchmarks/muon.py [--write]`.

torch's iterates in bfloat16, so it agrees to that; with its cast taken out it does the same as ours. The ratio is the
processor's: one with fast products of bfloat16 shows a smaller one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch
from side_by_side import HEADER, Peer, Race, machine, one_core, rows_of, write_section

from polymlops.training.muon import Muon

# Of the demo's base model: so many layers of such matrices.
LAYERS = 4
SHAPES = ((128, 128), (64, 128), (64, 128), (128, 128), (384, 128), (384, 128), (128, 384))
RATE, BFLOAT16, SINGLE = 0.02, 1e-2, 1e-5  # a step moves entries by up to about the rate


def main() -> None:
    """Check, time, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the result into RESULTS.md")
    options = parser.parse_args()
    print(*HEADER, sep="\n")
    with one_core():
        torch.set_num_threads(1)
        rows = list(rows_of(race()))
    if options.write:
        title = ["## Muon", "", f"{machine()}. The {LAYERS * len(SHAPES)} matrices of the demo's base model.", ""]
        write_section("muon", [*title, *HEADER, *rows])


def race() -> Race:
    """Both optimizers from the same weights and gradients."""
    peers = [
        Peer("torch.optim.Muon", lambda: stepping(torch.optim.Muon), tolerance=BFLOAT16),
        Peer("torch.optim.Muon without its cast", lambda: uncast(stepping(torch.optim.Muon)), tolerance=SINGLE),
    ]
    return Race("a step", stepping(Muon), peers)


def stepping(kind: Callable[..., torch.optim.Optimizer]) -> Callable[[], Any]:
    """A call that makes one step more and gives the weights."""
    generator = torch.Generator().manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for _ in range(LAYERS) for shape in SHAPES]
    for weight in weights:
        weight.grad = torch.randn(weight.shape, generator=generator)
    optimizer = kind(weights, lr=RATE)
    return lambda: [optimizer.step(), [weight.detach().numpy().copy() for weight in weights]][1]


def uncast(call: Callable[[], Any]) -> Callable[[], Any]:
    """The call where nothing becomes bfloat16."""

    def patched() -> Any:
        with patch.object(torch.Tensor, "bfloat16", torch.Tensor.clone):
            return call()

    return patched


if __name__ == "__main__":
    main()
