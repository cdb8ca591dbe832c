"""The sections about phase 4: the verdict, what users get by selector, and every comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from polymlops.errors import ArtifactError
from polymlops.report.comparisons import comparison_pairs
from polymlops.report.page_files import Source, grid, merged, picture, read_json, shown, spoken
from polymlops.report.page_records import Cell, Picture, Section, Sentence, Table

# Who picks in the verdict: the first of these that every arm has.
PICKERS = ("reward", "judge", "heuristic", "logprob", "noisy_human")
COMPARED = ("pair", "metric", "difference", "p (Holm)", "d", "Cliff's delta", "detectable", "claim")
LONGER = {
    "gain over the mean candidate": ("oracle_gain_", "selection_gain_"),
    "efficiency of the selector": "efficiency_",
    "regret beside the best": "regret_",
}
EMPTY = "novel metrics: the run of phase 4 left no {}; run it again"


def verdict_section(novel: Source | None, core: Source | None, reason: str) -> Section:
    """The sentences that may be quoted, on what users pick and on quality; then what cannot be claimed."""
    if novel is None:
        return _verdict_of_core(core, reason)
    compared, findings = read_json(novel, "novel_comparisons.json"), read_json(novel, "novel_findings.json")
    if not compared or not findings:
        notes = [note for found in (findings or {}).values() for note in found["notes"]]
        return Section(
            sentences=tuple(Sentence(note, novel.run_id) for note in notes),
            missing=("no verdict: there are no two arms to compare in one domain",),
        )
    chosen = [row for domain in findings for row in _headlines(compared, domain, findings[domain]["shown"])]
    answers = _answers(novel, compared, chosen)
    chosen.sort(key=lambda row: not row["claim"])
    notes = [f"{domain}: {note}" for domain, found in findings.items() for note in found["notes"]]
    said = [
        Sentence(f"{row['domain']}: {row['sentence']}", novel.run_id, "claim" if row["claim"] else "open")
        for row in chosen
    ]
    return Section(sentences=(*answers, *said, *(Sentence(note, novel.run_id) for note in notes)))


def _answers(
    novel: Source, compared: Sequence[Mapping[str, Any]], chosen: Sequence[Mapping[str, Any]]
) -> list[Sentence]:
    """Which arm comes first on the leading metric of each domain, and from which others it can be told."""
    rows = read_json(novel, "novel_metrics.json") or []
    answers = []
    for domain, metric in {row["domain"]: row["metric"] for row in reversed(chosen)}.items():
        means = {
            row["arm"]: row["value"]
            for row in rows
            if (row["domain"], row["metric"], row["seed"]) == (domain, metric, None) and row["value"] is not None
        }
        pairs = [row for row in compared if row["domain"] == domain and row["metric"] == metric]
        if len(means) > 1:
            answers.append(leader_sentence(domain, metric, means, pairs, novel.run_id))
    return answers


def leader_sentence(
    domain: str, metric: str, means: Mapping[str, float], pairs: Sequence[Mapping[str, Any]], run_id: str
) -> Sentence:
    """Name a winner only where it can be told from every other arm; else say from whom it cannot be.

    `pairs` are the comparisons on the metric, of which more is better.
    """
    leader = max(means, key=lambda arm: means[arm])
    if min(means.values()) == means[leader]:
        return Sentence(f"{domain}: all arms have the same mean {metric} ({shown(means[leader])})", run_id, "open")
    beaten = {row["reference"] for row in pairs if row["arm"] == leader and row["claim"] and row["difference"] > 0}
    beaten |= {row["arm"] for row in pairs if row["reference"] == leader and row["claim"] and row["difference"] < 0}
    close = [arm for arm in means if arm != leader and arm not in beaten]
    scope = "" if min((row["seeds"] for row in pairs), default=1) > 1 else "; one training seed: of these runs only"
    if not close:
        text = f"{leader} comes first on {metric} ({shown(means[leader])}), told apart from each of the others{scope}"
        return Sentence(f"{domain}: {text}", run_id, "claim")
    behind = f"; it is above {', '.join(arm for arm in means if arm in beaten)}" if beaten else ""
    text = (
        f"no single winner on {metric}: {leader} has the highest mean ({shown(means[leader])}), but cannot be told from"
    )
    return Sentence(f"{domain}: {text} {', '.join(close)}{behind}{scope}", run_id, "open")


def _headlines(compared: Sequence[Mapping[str, Any]], domain: str, k: int) -> list[Mapping[str, Any]]:
    """Those on the metrics of the verdict, and of the pairs that phases 1 and 2 ask about where there are such."""
    every = [row for row in compared if row["domain"] == domain]
    asked = set(comparison_pairs(list(dict.fromkeys(name for row in every for name in (row["reference"], row["arm"])))))
    rows = [row for row in every if (row["arm"], row["reference"]) in asked] or every
    metrics = {row["metric"] for row in rows}
    picked = [f"usq_{name}_at_{k}" for name in PICKERS if f"usq_{name}_at_{k}" in metrics][:1]
    wanted = [*picked, f"pass_at_{k}"]
    return [row for metric in wanted for row in rows if row["metric"] == metric]


def _verdict_of_core(core: Source | None, reason: str) -> Section:
    """Without phase 4: the differences of phase 1 that exclude 0, and how many do not."""
    rows = read_json(core, "comparisons.json") if core is not None else None
    if core is None or not rows:
        return Section(missing=(f"no verdict: {reason}",))
    clear = [row for row in rows if row["distinguishable"] and _at_most(row["p_holm"], 0.05)]
    said = [Sentence(_difference(row), core.run_id, "claim") for row in clear]
    rest = Sentence(f"{len(rows) - len(clear)} of {len(rows)} differences are not distinguishable from 0", core.run_id)
    return Section(sentences=(*said, rest), missing=(f"no verdict on what users pick: {reason}",))


def _difference(row: Mapping[str, Any]) -> str:
    found = row["difference"]
    numbers = f"{found['value']:+.3f}, 95 % interval {found['low']:+.3f} to {found['high']:+.3f}"
    return f"{row['arm']} minus {row['reference']} on {row['metric']}: {numbers}, Holm-corrected p {row['p_holm']:.3g}"


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
    return Section((*advice, *_changes(novel, domain, found)), (*tables, *_seeds(novel, domain, rows, k)))


def _changes(novel: Source, domain: str, found: Mapping[str, Any]) -> Iterator[Sentence]:
    if not found["rank_changes"] and len(found["advice"]) > 1:
        yield Sentence(f"{domain}: every selector ranks the arms as pass@{found['shown']} does", novel.run_id)
    for change in found["rank_changes"]:
        yield Sentence(f"{domain}: {change['sentence']}", novel.run_id, "claim" if change["significant"] else "open")


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


def _at_most(value: float | None, level: float) -> bool:
    return value is not None and value <= level
