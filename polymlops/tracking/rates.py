"""How long a stage will take, from runs of it that were measured; nothing is guessed where there are none.

In order: the same settings on the same data and base in this experiment, then in another on hardware like this; the
same but for one number that the work is proportional to (epochs, steps, candidates a prompt), scaled; at last the
newest run of the same stage and arm in this experiment, whatever its settings were.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from mlflow import MlflowClient
from mlflow.entities import Run

from polymlops.tracking import ledger
from polymlops.tracking.environment import hardware
from polymlops.tracking.params import flatten
from polymlops.tracking.prices import judge_dollars
from polymlops.tracking.store import tracked_errors

if TYPE_CHECKING:
    from polymlops.tracking.stage import Stage

Basis = Literal["the same settings", "the same settings elsewhere", "scaled", "other settings"]
# What the time of a stage is proportional to, but for what it takes to begin.
SIZES = {
    "train_adapter": "sft.epochs",
    "train_grpo": "grpo.steps",
    "train_on_programs": "grpo.steps",
    "sample_arm": "sampling.n",
    "sample_programs": "sampling.n",
    "sample_texts": "sampling.n",
}
DECIDING = ("base", "dataset")  # inputs whose size decides the time
LIKE = ("hardware.cores", "hardware.gpus")
LOOKED_AT = 25  # newest runs
SEED = "seed"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a stage should take, and what that is taken from."""

    seconds: float
    judges: float
    basis: Basis


def expectation(
    client: MlflowClient, experiment_id: str | None, stage: Stage[Any], experiments: Iterable[str] | None = None
) -> Expectation | None:
    """What runs of a stage say about it; none where none of them does.

    Those of its own experiment come first, then those of the given ones, or of all.

    Raises:
        TrackingError: the store cannot be reached.
    """
    labels = {name: value for name, value in stage.labels.items() if name != SEED}
    tags = {ledger.STAGE: stage.name, **labels}
    here = _finished(client, tags, [experiment_id]) if experiment_id is not None else []
    same = next((run for run in here if _differing(stage, run) == set()), None)
    if same is not None:
        return _told(same, "the same settings")
    everywhere = [run for run in _finished(client, tags, experiments) if run.info.experiment_id != experiment_id]
    like = [run for run in everywhere if _differing(stage, run) is not None and _on_such_hardware(client, run)]
    same = next((run for run in like if _differing(stage, run) == set()), None)
    if same is not None:
        return _told(same, "the same settings elsewhere")
    scaled = _scaled(stage, [*here, *like])
    return scaled or (_told(here[0], "other settings") if here else None)


def _told(run: Run, basis: Basis, factor: float = 1.0) -> Expectation:
    return Expectation(ledger.run_seconds(run) * factor, judge_dollars(run) * factor, basis)


def _finished(client: MlflowClient, tags: Mapping[str, str], experiments: Iterable[str] | None) -> list[Run]:
    conditions = [f"tags.{name} = '{value}'" for name, value in tags.items()] + ["attributes.status = 'FINISHED'"]
    return ledger.search(client, " and ".join(conditions), experiments, limit=LOOKED_AT)


def _differing(stage: Stage[Any], run: Run) -> set[str] | None:
    """Settings in which a run differs, but for the seed; none where it worked on another base or other data."""
    for role in DECIDING:
        ref, told = stage.inputs.get(role), run.data.tags.get(f"input.{role}")
        if ref is not None and (told is None or told.split()[-1] != ref.digest):
            return None
    ours, theirs = ledger.as_params(flatten(stage.spec)), run.data.params
    names = (ours.keys() | theirs.keys()) - {SEED}
    return {name for name in names if ours.get(name) != theirs.get(name)}


def _scaled(stage: Stage[Any], runs: Iterable[Run]) -> Expectation | None:
    size = SIZES.get(stage.name)
    for run in runs:
        if size is not None and _differing(stage, run) == {size}:
            factor = float(flatten(stage.spec)[size]) / float(run.data.params[size])
            return _told(run, "scaled", factor)
    return None


def _on_such_hardware(client: MlflowClient, run: Run) -> bool:
    parent = run.data.tags.get(ledger.PARENT)
    if parent is None:
        return False
    with tracked_errors(f"look at run {parent}"):
        told = client.get_run(parent).data.tags
    return all(told.get(name) == _hardware()[name] for name in LIKE)


@cache
def _hardware() -> dict[str, str]:
    return hardware()
