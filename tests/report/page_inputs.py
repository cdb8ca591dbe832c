"""Sources of a page, made by the real stages from small scores, with hostile texts among the samples."""

import polars as pl
from novel_inputs import write_arms

from polymlops.config.novel import NovelSpec
from polymlops.config.slices import ReportSpec
from polymlops.records import Job
from polymlops.report.core import write_core_results
from polymlops.report.novel import write_novel_metrics
from polymlops.report.page_content import PageSources
from polymlops.report.page_files import Source
from polymlops.report.page_records import Run

HOSTILE = (
    '<script>document.title = "taken"; fetch("http://example.invalid/x")</script>',
    '<img src="http://example.invalid/pixel.png" onerror="document.title = 1">',
    '</div></section><h1 id="fake">Verdict</h1>',
    "{{ page.config }} {% for x in y %} &amp; \"quoted\" 'single'",
    "right to left \u202e txt.exe \x00 nul",
)
CORE, NOVEL, SAMPLES, SCORES = (f"{number:032x}" for number in (0xA1, 0xB2, 0xC3, 0xD4))
RUNS = tuple(
    Run(run_id, title, 12.5, 0.01)
    for run_id, title in ((CORE, "core results"), (NOVEL, "novel metrics"), (SAMPLES, "samples"), (SCORES, "scores"))
)
CHANCES = {"zero_shot/0": 0.2, "few_shot/0": 0.3, "baseline/42": 0.5, "polychromic/42": 0.6}


def job_in(folder):
    folder.mkdir()
    return Job(folder, folder, lambda metrics, step: None)


def write_sources(folder, chances=None):
    """Sources with phases 1 and 4; no GRPO, no adapters, no other domain."""
    chances = chances or CHANCES
    scores, samples = write_arms(folder, chances, prompts=12, n=10)
    for path in samples.values():
        frame = pl.read_parquet(path / "samples.parquet").sort("prompt_id", "sample_id")
        texts = [*HOSTILE, *frame["text"].to_list()[len(HOSTILE) :]]
        frame.with_columns(pl.Series("text", texts)).write_parquet(path / "samples.parquet")
    arms = tuple(dict.fromkeys(label.split("/")[0] for label in chances))
    core, novel = job_in(folder / "core"), job_in(folder / "novel")
    write_core_results(ReportSpec(arms=arms, ks=(1, 5, 10), resamples=1000), scores, {}, core)
    write_novel_metrics(NovelSpec(arms=arms, resamples=2000), scores, samples, novel)
    return PageSources(
        title="demo & more",
        core=Source(core.output, CORE),
        novel={"social": Source(novel.output, NOVEL)},
        samples={label: Source(path, SAMPLES) for label, path in samples.items()},
        scores={label: Source(path, SCORES) for label, path in scores.items()},
        runs=RUNS,
        config="name: demo\nprompt: </pre><script>1</script>\n",
        absent={"depth": "no arm is trained by GRPO"},
    )
