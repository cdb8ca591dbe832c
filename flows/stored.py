"""What phases 1 to 3 left in the ledger, by domain: found by walking through them, without starting anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.calls import Call, Planned
from flows.phases import core_stages, depth_stages, generalization_stages
from flows.results import StoredResults, StoredSets
from polymlops.config.schema import ExperimentConfig
from polymlops.config.slices import grpo_arms
from polymlops.errors import InputError
from polymlops.refs import Reference
from polymlops.tracking.plans import is_planned, plan_context

if TYPE_CHECKING:
    from polymlops.tracking.stages import RunContext


def named_results(call: Call, config: ExperimentConfig) -> StoredResults:
    """The results of phases 1 to 3 that phase 4 stands on, by whatever `call` does about a stage."""
    core = core_stages(call, config)
    depth = depth_stages(call, config) if grpo_arms(config) else None
    samples, scores = dict(core.samples), dict(core.scores)
    if depth is not None:
        samples |= depth.samples
        # Phase 2 scores the starts again, by the reward model too; where it did not, phase 1's scores stand.
        scores |= {label: ref for label, ref in depth.scores.items() if label not in scores or not is_planned(ref)}
    found = generalization_stages(call, config)
    others = {name: sets for name, sets in found.domains.items() if name != "social"}
    domains = {"social": StoredSets(samples=samples, scores=scores)} | {
        name: StoredSets(samples=sets.samples, scores=sets.scores) for name, sets in others.items()
    }
    reward = depth.reward if depth is not None else None
    return StoredResults(dataset=core.dataset, base=core.base, reward=reward, domains=domains)


def stored_results(config: ExperimentConfig, run: RunContext | None = None) -> StoredResults:
    """What the ledger has of them; an arm that lacks a seed is left out, and what is missing is said.

    What the given run has just made or found is not looked up again.

    Raises:
        InputError: there is no data, base model or scored sample set to start from.
        TrackingError: the tracking store cannot be reached.
    """
    named = named_results(Planned(plan_context(config, run.seen if run else None)), config)
    kept, missing = {}, []
    for domain, sets in named.domains.items():
        lacking = [label for label in sets.scores if not _is_stored(sets.samples[label], sets.scores[label])]
        arms = sorted({label.rpartition("/")[0] for label in lacking})
        labels = [label for label in sets.scores if label.rpartition("/")[0] not in arms]
        missing += [f"{domain}: no stored scores of {label}; run phases 1 to 3" for label in lacking]
        if labels:
            samples, scores = ({label: group[label] for label in labels} for group in (sets.samples, sets.scores))
            kept[domain] = StoredSets(samples=samples, scores=scores)
    if not kept or not _is_stored(named.dataset, named.base):
        raise InputError(
            f"{config.name}: nothing that phase 4 could measure is stored under {config.output_dir}; run phases 1 to 3 "
            "with the same settings first"
        )
    reward = named.reward
    if reward is not None and is_planned(reward):
        missing.append("social: no stored reward model; run phase 2")
        reward = None
    return named.model_copy(update={"domains": kept, "reward": reward, "missing": tuple(missing)})


def _is_stored(*references: Reference) -> bool:
    return not any(is_planned(reference) for reference in references)
