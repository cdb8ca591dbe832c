"""What the figures of a table of scores show: curves over k, and arms on the plane of quality and diversity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from polymlops.evaluation.candidate_scores import ArmValues
from polymlops.figures.curves import Curve, Quantity
from polymlops.figures.frontier import Axis, FrontierPoint
from polymlops.records import Estimate
from polymlops.report.score_collapse import ArmCollapse
from polymlops.report.score_draws import DrawnMeans, TableSettings
from polymlops.report.score_metrics import direction

CLOUD = 2000  # draws behind the band of the frontier


def score_curves(
    arms: Sequence[ArmValues],
    drawn: Mapping[str, DrawnMeans],
    collapses: Mapping[str, ArmCollapse | None],
    settings: TableSettings,
) -> dict[str, tuple[Curve, ...]]:
    """Curves by the name of their figure: pass@k; USQ@k of a selector and the oracle; the oracle where that is all."""
    found: dict[str, list[Curve]] = {}
    for arm in arms:
        collapse = collapses[arm.arm]
        for figure, name, quantity in _wanted(arm):
            points = _points(drawn[arm.arm], name, settings)
            k = collapse.point.k if collapse is not None and quantity == "pass@k" else None
            if points:
                found.setdefault(figure, []).append(Curve(arm.arm, quantity, points, k))
    return {figure: tuple(curves) for figure, curves in found.items()}


def _wanted(arm: ArmValues) -> list[tuple[str, str, Quantity]]:
    """Figure, columns and quantity of an arm's curves."""
    oracle = "max_at" if arm.judged_by == "quality" else "pass_at"
    wanted: list[tuple[str, str, Quantity]] = []
    if arm.passes_SP is not None:
        wanted.append(("pass_at_k", "pass_at", "pass@k"))
    for selector in arm.selectors:
        figure = f"usq_{selector}_at_k"
        wanted += [(figure, f"usq_{selector}_at", "USQ@k"), (figure, oracle, "oracle@k")]
    if arm.judged_by == "quality" and not arm.selectors:
        wanted.append(("oracle_at_k", oracle, "oracle@k"))
    return wanted


def _points(drawn: DrawnMeans, name: str, settings: TableSettings) -> dict[int, Estimate]:
    ks = sorted({1, *settings.ks, *settings.curve_ks})
    points = {k: drawn.means[f"{name}_{k}"] for k in ks if f"{name}_{k}" in drawn.means}
    return {k: point for k, point in points.items() if not math.isnan(point.value)}


def plane(arms: Sequence[ArmValues]) -> tuple[tuple[Axis, Axis], tuple[str, ...]]:
    """What the frontier shows: judged quality or passes, against the diversity that all arms have."""
    shared = set.intersection(*(set(arm.values_SP) for arm in arms))
    quality = [
        (name, label) for name, label in (("quality", "mean quality"), ("pass_at_1", "pass@1")) if name in shared
    ]
    diversity = [
        (name, Axis(label, maximise=direction(name) == "higher"))
        for name, label in (("semantic_diversity", "semantic diversity"), ("self_bleu", "self-BLEU"))
        if name in shared
    ]
    if not quality or not diversity:
        return (Axis(""), Axis("")), ()
    return (Axis(quality[0][1]), diversity[0][1]), (quality[0][0], diversity[0][0])


def plane_points(
    arms: Sequence[ArmValues], drawn: Mapping[str, DrawnMeans], columns: tuple[str, ...]
) -> tuple[FrontierPoint, ...]:
    """The arms that have both columns, with draws that can be compared between them; one prompt makes no cloud."""
    found = []
    for arm in arms:
        if not columns or not set(columns) <= set(arm.values_SP):
            continue
        x, y = (drawn[arm.arm].means[name] for name in columns)
        cloud_R2 = np.stack([drawn[arm.arm].draws_R[name] for name in columns], axis=1)[:CLOUD]
        if np.isfinite(cloud_R2).all():
            found.append(FrontierPoint(arm.arm, x, y, cloud_R2))
    return tuple(found)
