"""From scores to a promotion decision: an arm by GRPO beside its SFT start, on the same prompts and paired seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from polymlops.errors import MetricError
from polymlops.report.comparisons import compare
from polymlops.report.estimates import PooledArm
from polymlops.report.scores import check_comparable, metrics_by_prompt, read_scores
from polymlops.tracking.registry_promotion import (
    PASS_AT_1,
    WELL_FORMED,
    PromotionDecision,
    alarm_gate,
    decide_promotion,
    difference_gate,
)


@dataclass(frozen=True)
class PromotionEvidence:
    """What the rule looks at.

    `metric` is USQ as the table calls it (`usq_<selector>_at_<k>`); `trained` and `start` are folders of scores by
    "arm/seed", one arm each; `adapter` is the folder of the adapter that was registered.
    """

    metric: str
    trained: Mapping[str, Path]
    start: Mapping[str, Path]
    adapter: Path


def judge(evidence: PromotionEvidence, rng: np.random.Generator, resamples: int) -> PromotionDecision:
    """Apply the promotion rule to scores.

    Raises:
        ArtifactError: a file of scores is missing.
        MetricError: the arms answer other prompts, have other seeds, or the metric is not among their scores.
        InputError: the adapter is not one by GRPO.
    """
    trained, start = (_pool(folders, evidence.metric) for folders in (evidence.trained, evidence.start))
    check_comparable([read_scores(*item) for item in (*evidence.trained.items(), *evidence.start.items())])
    found = {item.metric: item for item in compare(trained, start, rng, resamples)}
    gates = [
        alarm_gate(evidence.adapter),
        difference_gate(PASS_AT_1, found[PASS_AT_1].difference),
        difference_gate(WELL_FORMED, found[WELL_FORMED].difference),
    ]
    usq = found[evidence.metric]
    return decide_promotion(usq.difference, gates, evidence.metric, usq.seeds)


def _pool(folders: Mapping[str, Path], metric: str) -> PooledArm:
    """The three metrics of the rule, by seed and prompt."""
    runs = sorted((read_scores(*item) for item in folders.items()), key=lambda run: run.seed)
    arms = {run.arm for run in runs}
    if len(arms) != 1:
        raise MetricError(f"scores of {', '.join(sorted(arms)) or 'no arm'}: the rule compares one arm with its start")
    check_comparable(runs)
    values = [metrics_by_prompt(run, [1]) for run in runs]
    if metric not in values[0]:
        raise MetricError(f"there is no {metric} among {', '.join(sorted(values[0]))}")
    wanted = (metric, PASS_AT_1, WELL_FORMED)
    stacked = {name: np.stack([value[name] for value in values]) for name in wanted}
    return PooledArm(runs[0].arm, tuple(run.seed for run in runs), stacked)
