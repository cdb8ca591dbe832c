"""The content of the page, gathered from folders of stages; what a run lacks is on the page with its reason."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from polymlops.report.page_files import Source, grid, merged, pictures, read_json, shown, whole_folder
from polymlops.report.page_findings import comparisons_section, curves_section, selectors_section, verdict_section
from polymlops.report.page_records import Cell, PageContent, Run, Section, Sentence, Table
from polymlops.report.page_samples import sample_sides

QUESTION = (
    "When a person is shown k candidates and picks one, which way of fine-tuning serves them best, and what does "
    "diversity buy?"
)
FOUR = ("zero_shot", "few_shot", "baseline", "polychromic")
NOT_RUN = "that stage is not part of this run"
NONE: Mapping[str, Source] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PageSources:
    """Where the parts of a page come from: folders of reports, samples and scores (by label) with their runs.

    `absent` says why a part is none, by its name here; `config` is the run's whole config as text.
    """

    title: str
    core: Source | None
    depth: Source | None = None
    novel: Source | None = None
    adapters: Source | None = None
    mechanism: Source | None = None
    theory: Source | None = None
    domains: Source | None = None
    samples: Mapping[str, Source] = field(default_factory=lambda: NONE)
    scores: Mapping[str, Source] = field(default_factory=lambda: NONE)
    runs: tuple[Run, ...] = ()
    config: str = ""
    absent: Mapping[str, str] = field(default_factory=dict)

    def why(self, name: str) -> str:
        """Why a part is none."""
        return self.absent.get(name, NOT_RUN)


def gather(sources: PageSources) -> PageContent:
    """Read everything that the page shows.

    Raises:
        ArtifactError: a file is damaged.
        InputError: a part comes from a run that `sources.runs` lacks.
    """
    samples, prompts = sample_sides(sources.samples, sources.scores)
    return PageContent(
        title=sources.title,
        question=QUESTION,
        verdict=verdict_section(sources.novel, sources.core, sources.why("novel")),
        baselines=baselines_section(sources.core, sources.why("core")),
        frontier=_drawn(
            sources.core, {"pareto_frontier.png": "quality and diversity, with 95 % regions"}, sources.why("core")
        ),
        curves=curves_section(sources.novel, sources.core, sources.why("novel")),
        selectors=selectors_section(sources.novel, sources.why("novel")),
        comparisons=comparisons_section(sources.novel, sources.why("novel")),
        dynamics=_drawn(
            sources.core, {"diversity_trajectory_plot.png": "diversity during fine-tuning"}, sources.why("core")
        ),
        depth=depth_section(sources.depth, sources.why("depth")),
        adapters=_folder(sources.adapters, "adapter analysis", sources.why("adapters")),
        mechanism=_folder(sources.mechanism, "attention, hidden states and gradients", sources.why("mechanism")),
        theory=_folder(sources.theory, "predictions beside measurements", sources.why("theory")),
        domains=_folder(sources.domains, "other domains", sources.why("domains")),
        samples=samples,
        prompts=prompts,
        costs=costs_section(sources.runs),
        config=sources.config or "not recorded",
        runs=sources.runs,
    )


def baselines_section(core: Source | None, reason: str) -> Section:
    """The four baselines with every metric of phase 1; the other arms of phase 1 below them."""
    rows = read_json(core, "table.json") if core is not None else None
    if core is None or not rows:
        return Section(missing=(f"four baselines: {reason if core is None else 'table.json was not written'}",))
    given = {row["arm"] for row in rows}
    missing = tuple(f"{arm}: it is not among the arms of this run" for arm in FOUR if arm not in given)
    seeds = max(row.get("seeds", 1) for row in rows)
    notes = (
        [] if seeds > 1 else ["one training seed: intervals are over prompts, nothing is said about another training"]
    )
    said = tuple(Sentence(note, core.run_id) for note in notes)
    return Section(sentences=said, tables=_transposed("by metric, with 95 % intervals", rows, core), missing=missing)


def depth_section(depth: Source | None, reason: str) -> Section:
    """GRPO's arms beside their starts, and proxy against gold."""
    if depth is None:
        return Section(missing=(f"GRPO: {reason}",))
    rows = read_json(depth, "table.json") or []
    tables = Section(
        tables=_transposed("GRPO and its starts, with 95 % intervals", rows, depth) if rows else (),
        missing=() if rows else ("GRPO: table.json was not written",),
    )
    return merged((tables, pictures(depth, {"proxy_and_gold.png": "learned reward and true quality by KL"})))


def costs_section(runs: Sequence[Run]) -> Section:
    """Time and money of every run that is known, and the totals."""
    known = [run for run in runs if not math.isnan(run.seconds)]
    if not known:
        return Section(missing=("costs: no run's time is known",))
    rows = [
        (Cell(run.title), Cell(f"{run.seconds:.0f}", run.run_id), Cell(_dollars(run.dollars), run.run_id))
        for run in known
    ]
    paid = [run.dollars for run in known if not math.isnan(run.dollars)]
    total = (
        Cell(f"{len(known)} runs together"),
        Cell(f"{sum(run.seconds for run in known):.0f}"),
        Cell(_dollars(sum(paid)) if paid else "–"),
    )
    left = len(runs) - len(known)
    missing = (f"the time of {left} runs is not known",) if left else ()
    return Section(tables=(Table("runs", ("run", "seconds", "dollars"), (*rows, total)),), missing=missing)


def _transposed(title: str, rows: Sequence[Mapping], source: Source) -> tuple[Table, ...]:
    """A metric a row and an arm a column: there are more metrics than arms."""
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    wide = grid(title, rows, metrics, source.run_id)
    arms = [row[0].text for row in wide.rows]
    body = [(Cell(name), *(row[place] for row in wide.rows)) for place, name in enumerate(wide.head) if place > 0]
    return (Table(title, ("metric", *arms), tuple(body), source.run_id),)


def _drawn(source: Source | None, titles: Mapping[str, str], reason: str) -> Section:
    if source is None:
        return Section(missing=tuple(f"{title}: {reason}" for title in titles.values()))
    return pictures(source, titles)


def _folder(source: Source | None, what: str, reason: str) -> Section:
    return Section(missing=(f"{what}: {reason}",)) if source is None else whole_folder(source, what)


def _dollars(value: float) -> str:
    return "–" if math.isnan(value) else shown(round(value, 4))
