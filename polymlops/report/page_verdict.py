"""The verdict: who comes first where that can be said, the sentences that may be quoted, and what cannot be claimed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polymlops.report.comparisons import comparison_pairs
from polymlops.report.page_files import Source, read_json, shown
from polymlops.report.page_records import Section, Sentence

# Who picks in the verdict: the first of these that every arm has.
PICKERS = ("reward", "judge", "logprob", "heuristic", "noisy_human")
LEVEL = 0.05


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
    clear = [row for row in rows if row["distinguishable"] and _at_most(row["p_holm"], LEVEL)]
    said = [Sentence(_difference(row), core.run_id, "claim") for row in clear]
    rest = Sentence(f"{len(rows) - len(clear)} of {len(rows)} differences are not distinguishable from 0", core.run_id)
    return Section(sentences=(*said, rest), missing=(f"no verdict on what users pick: {reason}",))


def _difference(row: Mapping[str, Any]) -> str:
    found = row["difference"]
    numbers = f"{found['value']:+.3f}, 95 % interval {found['low']:+.3f} to {found['high']:+.3f}"
    return f"{row['arm']} minus {row['reference']} on {row['metric']}: {numbers}, Holm-corrected p {row['p_holm']:.3g}"


def _at_most(value: float | None, level: float) -> bool:
    return value is not None and value <= level
