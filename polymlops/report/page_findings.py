"""The sections about phase 4 below the verdict: what users get by selector, and every comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from polymlops.errors import ArtifactError
from polymlops.report.page_files import Source, grid, merged, picture, read_json, shown, spoken
from polymlops.report.page_records import Cell, Picture, Section, Sentence, Table
from polymlops.report.page_verdict import PICKERS

COMPARED = ("pair", "metric", "difference", "p (Holm)", "d", "Cliff's delta", "detectable", "claim")
LONGER = {
    "gain over the mean candidate": ("oracle_gain_", "selection_gain_"),
    "efficiency of the selector": "efficiency_",
    "regret beside the best": "regret_",
}
EMPTY = "novel metrics: the run of phase 4 left no {}; run it again"


def curves_section(novel: Source | None, core: Source | None, reason: str) -> Section:
    """Pass@k and USQ@k with bands; without phase 4, phase 1's pass@k."""
    if novel is None:
        drawn = None if core is None else picture(core, "pass_at_k.png", "pass@k with 95 % bands, phase 1")
        return Section(pictures=(drawn,) if drawn else (), missing=(f"USQ@k curves: {reason}",))
    names = sorted(path.name for path in novel.folder.glob("*_at_k.png"))
    found = [_curve(novel, name) for name in sorted(names, key=lambda name: "_usq_" in name)]
    return Section(pictures=tuple(found), missing=() if found else (EMPTY.format("curves"),))


def _curve(novel: Source, name: str) -> Picture:
    domain, _, rest = name.removesuffix("_at_k.png").rpartition("_usq_")
    title = f"USQ@k by {spoken(rest)}, and the oracle: {domain}" if domain else spoken(name.removesuffix("_at_k.png"))
    found = picture(novel, name, f"{title}, 95 % bands" if domain else f"{title} @k, 95 % bands")
    if found is None:
        raise ArtifactError(f"{name} of run {novel.run_id} vanished while the page was made: make it again")
    return found


def selectors_section(novel: Source | None, reason: str) -> Section:
    """What users get by who picks, DER and collapse point by arm and domain; where the ranking of arms changes."""
    if novel is None:
        return Section(missing=(f"USQ, DER and collapse point: {reason}",))
    rows, findings = read_json(novel, "novel_metrics.json"), read_json(novel, "novel_findings.json")
    if not rows or not findings:
        return Section(missing=(EMPTY.format("table"),))
    return merged(_domain(novel, domain, rows, found) for domain, found in findings.items())


def _domain(novel: Source, domain: str, rows: Sequence[Mapping[str, Any]], found: Mapping[str, Any]) -> Section:
    pooled = [row for row in rows if row["domain"] == domain and row["seed"] is None]
    k, names = found["shown"], list(dict.fromkeys(row["metric"] for row in pooled))
    at_k = [name for name in names if _is_at(name, k)]
    picked = f"{domain}: quality of the pick among {k}, by who picks"
    bought = ["pass_at_1", f"pass_at_{k}", *_bought(k), "collapse_point"]
    tables = [
        grid(picked, pooled, [name for name in at_k if name.startswith("usq_")], novel.run_id),
        grid(f"{domain}: what more candidates buy", pooled, bought, novel.run_id),
        *(
            grid(
                f"{domain}: {title}",
                pooled,
                [name for name in at_k if name.startswith(part)],
                novel.run_id,
                folded=True,
            )
            for title, part in LONGER.items()
        ),
    ]
    advice = [Sentence(f"{domain}, {arm}: {text}", novel.run_id) for arm, text in found["advice"].items()]
    tables += _turned(novel, domain, found)
    return Section((*advice, *_changes(novel, domain, found)), (*tables, *_seeds(novel, domain, rows, k)))


def _changes(novel: Source, domain: str, found: Mapping[str, Any]) -> Iterator[Sentence]:
    """How often a selector turns the order of two arms around, and the cases that are more than noise."""
    changes, k = found["rank_changes"], found["shown"]
    if not changes and len(found["advice"]) > 1:
        yield Sentence(f"{domain}: every selector ranks the arms as pass@{k} does", novel.run_id)
    for selector in dict.fromkeys(change["selector"] for change in changes):
        these = [change for change in changes if change["selector"] == selector]
        clear = [change for change in these if change["significant"]]
        text = f"{domain}: USQ@{k} by {selector} orders {len(these)} pairs of arms unlike pass@{k}"
        yield Sentence(f"{text}; {len(clear)} of them beyond noise in both", novel.run_id, "claim" if clear else "open")


def _turned(novel: Source, domain: str, found: Mapping[str, Any]) -> tuple[Table, ...]:
    """Every pair of arms whose order a selector turns around; no table where there is none."""
    rows = tuple(
        (
            Cell(change["selector"]),
            Cell(f"{change['arm']} − {change['other']}"),
            Cell(f"{change['pass_difference']:+.3f}", novel.run_id),
            Cell(f"{change['usq_difference']:+.3f}", novel.run_id),
            Cell("both beyond noise" if change["significant"] else "may be chance"),
        )
        for change in found["rank_changes"]
    )
    head = ("selector", "pair", f"pass@{found['shown']}", f"USQ@{found['shown']}", "")
    table = Table(f"{domain}: where the order of arms turns around", head, rows, novel.run_id, folded=True)
    return (table,) if rows else ()


def _seeds(novel: Source, domain: str, rows: Sequence[Mapping[str, Any]], k: int) -> list[Table]:
    """The headline metrics of every seed by itself."""
    single = [
        dict(row, arm=f"{row['arm']}/{row['seed']}")
        for row in rows
        if row["domain"] == domain and row["seed"] is not None
    ]
    names = {row["metric"] for row in single}
    wanted = [f"pass_at_{k}", *(name for p in PICKERS if (name := f"usq_{p}_at_{k}") in names), f"der_at_{k}"]
    return [grid(f"{domain}: by seed", single, [*wanted, "collapse_point"], novel.run_id)] if single else []


def comparisons_section(novel: Source | None, reason: str) -> Section:
    """Every pair of arms on every metric."""
    if novel is None:
        return Section(missing=(f"pairwise comparisons: {reason}",))
    rows = read_json(novel, "novel_comparisons.json")
    if not rows:
        return Section(missing=("pairwise comparisons: there are no two arms in one domain",))
    domains = dict.fromkeys(row["domain"] for row in rows)
    tables = [
        Table(
            f"{domain}: all pairs, Holm over {next(row['family'] for row in rows if row['domain'] == domain)} tests",
            COMPARED,
            tuple(_compared(row, novel.run_id) for row in rows if row["domain"] == domain),
            novel.run_id,
            folded=True,
        )
        for domain in domains
    ]
    return Section(tables=tuple(tables))


def _compared(row: Mapping[str, Any], run_id: str) -> tuple[Cell, ...]:
    verdict = "yes" if row["claim"] else "saturated" if row["saturated"] else "not distinguishable"
    low, high = row["low"], row["high"]
    interval = "" if low is None or high is None else f"{low:+.3f} to {high:+.3f}"
    difference = "–" if row["difference"] is None else f"{row['difference']:+.3f}"
    return (
        Cell(f"{row['arm']} − {row['reference']}"),
        Cell(spoken(row["metric"])),
        Cell(difference, run_id, interval),
        *(
            Cell(shown(row[name]) or "–", run_id)
            for name in ("p_holm", "cohens_d", "cliffs_delta", "minimum_detectable_effect")
        ),
        Cell(verdict),
    )


def _bought(k: int) -> tuple[str, str]:
    return f"der_at_{k}", f"coverage_efficiency_at_{k}"


def _is_at(metric: str, k: int) -> bool:
    return metric.endswith(f"_at_{k}")
