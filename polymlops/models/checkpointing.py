"""Gradient checkpointing: layers that keep their input alone, and are computed again when gradients ask for them.

Transformers checkpoints layers in training mode only, and a checkpointed layer takes no cache. What is differentiated
without dropout stands here, and so does the question whether a forward pass may use a cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any


def checkpoints_layers(model: Any) -> bool:
    """True where a forward pass would checkpoint layers now, so that it can use no cache."""
    return any(layer.training for layer in _layers(model))


@contextmanager
def checkpointed_in_evaluation(model: Any) -> Iterator[None]:
    """Within, a model in evaluation mode checkpoints the layers that it would in training.

    They are computed without dropout the first time, and again when gradients ask, in whatever mode the model is then.
    """
    layers = _layers(model)
    before = [(layer, layer.training, layer._gradient_checkpointing_func) for layer in layers]
    for layer, _, checkpoint in before:
        layer.training = True  # of the layer alone, not of the modules in it
        layer._gradient_checkpointing_func = partial(_without_dropout, layer, checkpoint)
    try:
        yield
    finally:
        for layer, training, checkpoint in before:
            layer.training, layer._gradient_checkpointing_func = training, checkpoint


def _without_dropout(layer: Any, checkpoint: Callable[..., Any], forward: Callable[..., Any], *inputs: Any) -> Any:
    def evaluated(*inputs: Any) -> Any:
        before = [(module, module.training) for module in layer.modules()]
        layer.eval()
        try:
            return forward(*inputs)
        finally:
            for module, training in before:
                module.training = training

    return checkpoint(evaluated, *inputs)


def _layers(model: Any) -> list[Any]:
    from transformers.modeling_layers import GradientCheckpointingLayer

    found = (module for module in model.modules() if isinstance(module, GradientCheckpointingLayer))
    return [layer for layer in found if layer.gradient_checkpointing]
