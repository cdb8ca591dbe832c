"""Gradient norms by layer and loss term while training runs; off unless a trainer is given one of these.

The gradient of a term is taken beside the trainer's own backward pass (`torch.autograd.grad` writes no `.grad` and
draws nothing), and summed over the micro-batches of an optimizer step, so that a recorded run ends in the same weights
and the terms sum to the gradient that the optimizer gets, before clipping. A recorded step costs a backward pass for
each term; the sums take the memory of the trainable weights for each.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from polymlops.config.analysis import GradientConfig
from polymlops.models.ranks import is_first, mean_of
from polymlops.records import Job, MetricLog

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments

FILE = "gradient_norms.json"
FOLDER = "gradients"
LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")
Row = dict[str, float | int | str | None]


@dataclass(slots=True)
class _Sums:
    """Of one optimizer step: the trainable weights by name, and for each term the sum of their gradients."""

    names: list[str] = field(default_factory=list)
    terms: dict[str, list[torch.Tensor]] = field(default_factory=dict)


class GradientNorms(TrainerCallback):
    """Records every `every`-th optimizer step, the first included, as one file a step in `folder`.

    A trainer calls `observe` once a micro-batch from its `compute_loss`. A resumed run repeats the steps after its
    checkpoint and overwrites their files with the same numbers.
    """

    def __init__(self, folder: Path, every: int, log: MetricLog) -> None:
        self.folder = folder
        self.every = every
        self.log = log
        self._sums = _Sums()

    def observe(self, model: Any, terms: Mapping[str, torch.Tensor], step: int) -> None:
        """Add the gradients of a micro-batch's loss terms where the step is due.

        `step` counts finished optimizer steps. The terms are scaled as the loss is and sum to it; one without a
        gradient counts as 0. Their graph is kept for the trainer.
        """
        if step % self.every:
            return
        trainable = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self._sums.names = list(trainable)
        for term, loss in terms.items():
            gradients = _gradients(loss, list(trainable.values()))
            earlier = self._sums.terms.get(term)
            self._sums.terms[term] = (
                gradients if earlier is None else [a + b for a, b in zip(earlier, gradients, strict=True)]
            )

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Report the records of an interrupted run up to its checkpoint."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._sums = _Sums()
        for rows in _stored(self.folder):
            if int(rows[0]["step"] or 0) <= state.global_step:
                self._report(rows)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Write the step's record."""
        sums, self._sums = self._sums, _Sums()
        if not sums.terms:
            return
        terms = {term: [mean_of(gradient) for gradient in gradients] for term, gradients in sums.terms.items()}
        if is_first():
            self._write(state.global_step, layer_norms(state.global_step, sums.names, terms))

    def _write(self, step: int, rows: Sequence[Row]) -> None:
        path = self.folder / f"step-{step:06d}.json"
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(rows))
        temporary.replace(path)
        self._report(rows)

    def _report(self, rows: Sequence[Row]) -> None:
        metrics = {
            f"gradients/layer_{row['layer']}/{name}": float(value)
            for row in rows
            for name, value in row.items()
            if name not in {"step", "layer"} and value is not None
        }
        self.log(metrics, int(rows[0]["step"] or 0))


def recorder(config: GradientConfig, job: Job) -> GradientNorms:
    """A job's recorder, in its scratch folder; what it records is stored with the adapter."""
    return GradientNorms(job.scratch / FOLDER, config.every, job.log)


def layer_norms(step: int, names: Sequence[str], terms: Mapping[str, Sequence[torch.Tensor]]) -> list[Row]:
    """One row a layer, then `all`: the norm of each term's gradient, of their sum (`total`), and their cosine.

    Weights outside numbered layers are the layer `other`. `cosine`, in [-1, 1], is there for two terms, None where one
    of them is 0: below 0 they pull against each other.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        found = LAYER.search(name)
        places[found[1] if found else "other"].append(index)
    ordered = sorted(places, key=lambda place: (place == "other", int(place) if place != "other" else 0))
    chosen = [(place, places[place]) for place in ordered] + [("all", list(range(len(names))))]
    return [
        _row(step, place, [[part[i] for i in indices] for part in terms.values()], terms) for place, indices in chosen
    ]


def collect_norms(scratch: Path) -> list[Row]:
    """All rows of a run whose records lie in `scratch`/gradients, by step; empty where nothing was recorded."""
    return [row for rows in _stored(scratch / FOLDER) for row in rows]


def read_norms(adapter: Path) -> list[Row]:
    """The rows that were stored with an adapter; empty where its training was not recorded."""
    path = adapter / FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def _gradients(loss: torch.Tensor, weights: list[torch.nn.Parameter]) -> list[torch.Tensor]:
    if not loss.requires_grad:
        return [torch.zeros_like(weight) for weight in weights]
    found = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(w) if g is None else g for w, g in zip(weights, found, strict=True)]


def _row(step: int, place: str, parts: Sequence[Sequence[torch.Tensor]], names: Mapping[str, Any]) -> Row:
    flat = [torch.cat([tensor.double().ravel() for tensor in part]) for part in parts]
    norms = [float(vector.norm()) for vector in flat]
    row: Row = {"step": step, "layer": place, **dict(zip(names, norms, strict=True))}
    row["total"] = float(torch.stack(flat).sum(0).norm())
    if len(flat) == 2:
        scale = math.prod(norms)
        row["cosine"] = float(flat[0] @ flat[1]) / scale if scale > 0 else None
    return row


def _stored(folder: Path) -> list[list[Row]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("step-*.json"))]
