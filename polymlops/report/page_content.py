"""The content of the page, gathered from folders of stages; what a run lacks is on the page with its reason."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from polymlops.report.page_analysis import adapters_section, mechanism_section, theory_section
from polymlops.report.page_files import Source, grid, merged, pictures, read_json, shown, spoken, whole_folder
from polymlops.report.page_findings import comparisons_section, curves_section, selectors_section
from polymlops.report.page_records import Cell, PageContent, Run, Section, Sentence, Table
from polymlops.report.page_samples import sample_sides
from polymlops.report.page_verdict import verdict_section

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

    `novel` and `domains` are by domain; samples and scores are of the home domain. `absent` says why a part is none, by
    its name here; `config` is the run's whole config as text.
    """

    title: str
    core: Source | None
    depth: Source | None = None
    novel: Mapping[str, Source] = field(default_factory=lambda: NONE)
    adapters: Source | None = None
    mechanism: Source | None = None
    theory: Source | None = None
    domains: Mapping[str, Source] = field(default_factory=lambda: NONE)
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
        verdict=_over(sources, lambda novel: verdict_section(novel, sources.core, sources.why("novel"))),
        baselines=baselines_section(sources.core, sources.why("core")),
        frontier=_drawn(
            sources.core, {"pareto_frontier.png": "quality and diversity, with 95 % regions"}, sources.why("core")
        ),
        curves=_over(sources, lambda novel: curves_section(novel, sources.core, sources.why("novel"))),
        selectors=_over(sources, lambda novel: selectors_section(novel, sources.why("novel"))),
        comparisons=_over(sources, lambda novel: comparisons_section(novel, sources.why("novel"))),
        dynamics=_drawn(
            sources.core, {"diversity_trajectory_plot.png": "diversity during fine-tuning"}, sources.why("core")
        ),
        depth=depth_section(sources.depth, sources.why("depth")),
        adapters=adapters_section(sources.adapters, sources.why("adapters")),
        mechanism=mechanism_section(sources.mechanism, sources.why("mechanism")),
        theory=theory_section(sources.theory, sources.why("theory")),
        domains=domains_section(sources.domains, sources.why("domains")),
        samples=samples,
        prompts=prompts,
        costs=costs_section(sources.runs),
        config=sources.config or "not recorded",
        runs=sources.runs,
    )


def _over(sources: PageSources, section: Callable[[Source | None], Section]) -> Section:
    """A section of phase 4 over its domains; where there are none, the one that says why."""
    return merged(map(section, sources.novel.values())) if sources.novel else section(None)


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


def domains_section(domains: Mapping[str, Source], reason: str) -> Section:
    """The table and figures of every other domain, and what is said over all of them."""
    if not domains:
        return Section(missing=(f"other domains: {reason}",))
    return merged(_domain(name, source) for name, source in domains.items())


def _domain(name: str, source: Source) -> Section:
    rows = read_json(source, "table.json") or []
    if not rows or "domain" in rows[0]:  # over domains: its tables have other rows
        return whole_folder(source, name)
    table = _transposed(f"{name}: all arms, with 95 % intervals", rows, source)
    titles = {path.name: f"{name}: {spoken(path.stem)}" for path in sorted(source.folder.glob("*.png"))}
    return merged((Section(tables=table), pictures(source, titles))) if titles else Section(tables=table)


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


def _dollars(value: float) -> str:
    return "–" if math.isnan(value) else shown(round(value, 4))
