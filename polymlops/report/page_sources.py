"""A roadmap's results as the sources of its page; what it lacks, or what cannot be read, is there with its reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polymlops.errors import ArtifactError
from polymlops.refs import Reference
from polymlops.report.page_content import PageSources
from polymlops.report.page_files import Source
from polymlops.report.page_records import Run
from polymlops.report.page_samples import first_seeds
from polymlops.tracking.roadmap_parts import Roadmap

Fetch = Callable[[Reference], Path]
OVER = "cross_domain/over_"
CORE, DEPTH, OTHERS, NOVEL = "core-results", "theoretical-depth", "generalization", "novel-metrics"
NOT_YET = {
    CORE: "phase 1 has not finished in this run",
    DEPTH: "phase 2 has not finished in this run, or no arm is trained by GRPO",
    OTHERS: "phase 3 has not finished in this run",
    NOVEL: "phase 4 has not finished in this run",
}
# Parts of the page: the phase that leaves each, and its label there.
PARTS = {
    "core": (CORE, "report"),
    "depth": (DEPTH, "report"),
    "adapters": (DEPTH, "analysis/adapters"),
    "mechanism": (DEPTH, "analysis/mechanism"),
    "theory": (DEPTH, "analysis/theory"),
}


def page_sources(roadmap: Roadmap, fetch: Fetch) -> PageSources:
    """Bring what the page shows to this machine; `fetch` gives the folder of a reference.

    Raises:
        TrackingError: the store cannot be reached.
    """
    reader = _Reader(roadmap, fetch)
    parts = {name: reader.part(name, phase, label) for name, (phase, label) in PARTS.items()}
    novel = reader.group(
        "novel", NOVEL, {label: label.removeprefix("novel/") for label in reader.labels(NOVEL, "novel/")}
    )
    reports = {label: _spoken(label) for label in reader.labels(OTHERS) if label.endswith("/report") or OVER in label}
    domains = reader.group("domains", OTHERS, reports)
    samples, scores = (reader.by_label(kind) for kind in ("samples/", "scores/"))
    return PageSources(
        title=f"{roadmap.name}: what users are shown, and what they get",
        **parts,
        novel=novel,
        domains=domains,
        samples=samples,
        scores=scores,
        runs=tuple(Run(run.run_id, run.title, run.seconds, run.dollars) for run in roadmap.runs),
        config=roadmap.config,
        absent=reader.absent,
    )


def _spoken(label: str) -> str:
    """`code` of code/report, `gains over few_shot, all domains` of cross_domain/over_few_shot."""
    base = label.partition(OVER)[2]
    return f"gains over {base}, all domains" if base else label.removesuffix("/report")


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads a roadmap's results, and remembers why one is not there."""

    roadmap: Roadmap
    fetch: Fetch
    absent: dict[str, str] = field(default_factory=dict)

    def listing(self, phase: str) -> Mapping[str, Any]:
        """References of a phase by label."""
        return self.roadmap.phases.get(phase, {})

    def labels(self, phase: str, kind: str = "") -> list[str]:
        """Labels of a phase that begin in a way."""
        return [label for label in self.listing(phase) if label.startswith(kind)]

    def part(self, name: str, phase: str, label: str) -> Source | None:
        """One part of the page; none with its reason in `absent`."""
        found = self.group(name, phase, {label: label})
        return found.get(label)

    def group(self, name: str, phase: str, names: Mapping[str, str]) -> dict[str, Source]:
        """Sources of a phase by the names that their labels get; one that is damaged is left out with its reason."""
        found: dict[str, Source] = {}
        for label, called in names.items():
            ref = self.listing(phase).get(label)
            source = None if ref is None else self._source(name, ref)
            if source is not None:
                found[called] = source
        if not found:
            self.absent.setdefault(name, NOT_YET[phase])
        return found

    def by_label(self, kind: str) -> dict[str, Source]:
        """Samples or scores on social replies, one seed an arm; a later phase's take the place of an earlier one's."""
        refs: dict[str, Any] = {}
        for phase in (CORE, DEPTH, NOVEL):
            refs |= {label.removeprefix(kind): self.listing(phase)[label] for label in self.labels(phase, kind)}
        found = {label: self._source(kind, refs[label]) for label in first_seeds(refs)}
        return {label: source for label, source in found.items() if source is not None}

    def _source(self, name: str, ref: Reference) -> Source | None:
        try:
            return Source(self.fetch(ref), ref.run_id)
        except ArtifactError as error:
            self.absent[name] = f"it cannot be read: {error}"
            return None
