"""What users get from the arms of one domain, whoever picks; from stored samples and scores only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from polymlops.config.novel import NovelSpec
from polymlops.records import Job
from polymlops.refs import Reference, ReportRef, SampleSetRef, ScoresRef
from polymlops.tracking.stage import Outcome, Stage
from tasks.stage_task import StageRunner, stage_task

SCORES, SAMPLES = "scores/", "samples/"


@stage_task("measure_domain", "measure_{domain}")
def measure_domain(
    runner: StageRunner,
    domain: str,
    spec: NovelSpec,
    scores: Mapping[str, ScoresRef],
    samples: Mapping[str, SampleSetRef],
) -> Outcome[ReportRef]:
    """Measure a domain's arms, by their labels `arm/seed`."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.report import novel

        scored, sampled = (
            {role.removeprefix(kind): path for role, path in inputs.items() if role.startswith(kind)}
            for kind in (SCORES, SAMPLES)
        )
        return novel.write_novel_metrics(spec, scored, sampled, job)

    inputs: dict[str, Reference] = {SCORES + label: ref for label, ref in scores.items()}
    inputs |= {SAMPLES + label: ref for label, ref in samples.items()}
    return runner.run(Stage(f"measure_{domain}", spec, ReportRef, work, inputs))
