"""Creative writing on paper: all arms on one set of prompts, as figures, a table and paired comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from polymlops.config.slices import ReportSpec
from polymlops.records import Job
from polymlops.report.core import write_core_results


def write_creative_results(spec: ReportSpec, scores: Mapping[str, Path], job: Job) -> dict[str, float]:
    """Write what `write_core_results` does, from the folders of `score_creative` by "arm/seed"; raises as it does."""
    return write_core_results(spec, scores, {}, job)
