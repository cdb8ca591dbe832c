"""The code domain on paper: all arms on one suite, as figures, a table and paired comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from polymlops.config.slices import ReportSpec
from polymlops.figures.frontier import Axis
from polymlops.records import Job
from polymlops.report.comparisons import comparison_pairs
from polymlops.report.core import Layout, write_core_results

START, PLAIN = "zero_shot", "code_mean"


def code_pairs(arms: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs (arm, reference): arms trained on programs against their start and the plain objective; others as ever."""
    trained = [arm for arm in arms if arm.startswith("code_")]
    others = comparison_pairs([arm for arm in arms if arm not in trained])
    with_start = [(arm, START) for arm in trained if START in arms]
    return [*others, *with_start, *((arm, PLAIN) for arm in trained if PLAIN in trained and arm != PLAIN)]


# A program's quality is 1 or 0: its mean is pass@1, its best pass@k.
CODE = Layout(
    axes=("pass_at_1", "ast_diversity"),
    titles=(Axis("pass@1"), Axis("tree edit distance")),
    intents="algorithms",
    left_out=("quality",),
    pairs=code_pairs,
)


def write_code_results(spec: ReportSpec, scores: Mapping[str, Path], job: Job) -> dict[str, float]:
    """Write what `write_core_results` does, from the folders of `score_programs` by "arm/seed"; raises as it does."""
    return write_core_results(spec, scores, {}, job, CODE)
