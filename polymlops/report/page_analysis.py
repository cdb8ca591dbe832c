"""The sections about what is inside the arms: adapters, mechanism, theory. Sentences first, then figures and tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from polymlops.report.page_files import Source, csv_table, merged, pictures, read_json, shown
from polymlops.report.page_records import Cell, Section, Sentence, Table

ADAPTERS = {"lora_parameter_analysis.png": "what training changed, by layer and module, with spectra"}
MECHANISM = {
    "attention_heads.png": "change of attention, head by head",
    "depth_divergence.png": "where in depth arms part",
    "hidden_state_clusters.png": "how hidden states of candidates group",
    "gradient_norms.png": "gradient norms during training, by layer and loss term",
}
WHY_NOT_DRAWN = {"gradient_norms.png": "they were not recorded; set gradients.track"}
PREDICTED = ("arm", "theory", "selector", "at", "predicted", "measured", "residual", "holds")
LAW = ("arm", "a", "R squared", "error on held-out steps", "holds", "reason")


def adapters_section(source: Source | None, reason: str) -> Section:
    """Which layers carry diversity by switching them off, what rank would do, and the map of the changes."""
    if source is None:
        return Section(missing=(f"adapter analysis: {reason}",))
    ablation = read_json(source, "ablation_findings.json") or {}
    advice = read_json(source, "rank_advice.json") or {}
    said = [f"{label}: {text}" for label, texts in ablation.items() for text in texts]
    said += [f"{label}: {item['sentence']}" for label, item in advice.items()]
    blocks = {
        path.name: f"without a block of layers: {path.stem.removeprefix('layer_ablation_')}"
        for path in sorted(source.folder.glob("layer_ablation_*.png"))
    }
    return merged((_said(said, source, "adapter analysis"), pictures(source, ADAPTERS | blocks)))


def mechanism_section(source: Source | None, reason: str) -> Section:
    """What changed in attention, depth and hidden states, and the gradients where they were recorded."""
    what = "attention, hidden states and gradients"
    if source is None:
        return Section(missing=(f"{what}: {reason}",))
    findings = read_json(source, "mechanism_findings.json") or {}
    said = _said([text for texts in findings.values() for text in texts], source, what)
    drawn = {name: title for name, title in MECHANISM.items() if (source.folder / name).is_file()}
    parts = [said, *(pictures(source, {name: title}) for name, title in drawn.items())]
    for name, title in MECHANISM.items():
        if name not in drawn:
            parts.append(Section(missing=(f"{title}: {WHY_NOT_DRAWN.get(name, 'there was nothing to draw')}",)))
    for name in ("depth", "hidden_states"):
        path = source.folder / f"{name}.csv"
        if path.is_file():
            parts.append(Section(tables=(csv_table(path, source.run_id, folded=True),)))
    return merged(parts)


def theory_section(source: Source | None, reason: str) -> Section:
    """How often each theory holds, the fitted laws, and every prediction beside its measurement."""
    found = None if source is None else read_json(source, "theory.json")
    if source is None or not found:
        why = reason if source is None else "theory.json was not written"
        return Section(missing=(f"predictions beside measurements: {why}",))
    rows = found["predictions"]
    said = tuple(Sentence(text, source.run_id) for text in _summaries(rows))
    tables = (*_laws(found["entropy_laws"], source.run_id), _predictions(rows, source.run_id))
    return merged((Section(said, tables), pictures(source, {"theory.png": "predicted against measured"})))


def _said(texts: Sequence[str], source: Source, what: str) -> Section:
    if not texts:
        return Section(missing=(f"{what}: no findings were written",))
    return Section(tuple(Sentence(text, source.run_id) for text in texts))


def _summaries(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for theory in dict.fromkeys(row["theory"] for row in rows):
        verdicts = [row["holds"] for row in rows if row["theory"] == theory]
        open_ones = f"; of {verdicts.count(None)} nothing can be said" if None in verdicts else ""
        judged = len(verdicts) - verdicts.count(None)
        yield f"{theory}: {verdicts.count(True)} of {judged} predictions hold{open_ones}"


def _laws(laws: Mapping[str, Mapping[str, Any]], run_id: str) -> tuple[Table, ...]:
    """The fitted law of each run of GRPO; none where there is no such run."""
    rows = [
        (
            Cell(label),
            Cell(shown(law["a"]) or "–", run_id, f"{shown(law['a_low'])} to {shown(law['a_high'])}"),
            Cell(shown(law["r_squared"]) or "–", run_id),
            Cell(shown(law["held_out_rmse"]) or "–", run_id, f"spread {shown(law['held_out_spread']) or '–'}"),
            Cell(_verdict(law["holds"])),
            Cell(str(law["reason"])),
        )
        for label, law in laws.items()
    ]
    return (Table("reward by entropy, R = -a exp(H) + b, fitted over training", LAW, tuple(rows), run_id),) * bool(rows)


def _predictions(rows: Sequence[Mapping[str, Any]], run_id: str) -> Table:
    """All but the steps of the entropy law, which its figure shows."""
    kept = [row for row in rows if row["theory"] != "reward by entropy"]
    body = [
        (
            Cell(f"{row['arm']}/{row['seed']}"),
            Cell(row["theory"]),
            Cell(row["selector"] or ""),
            Cell(shown(row["at"])),
            Cell(_range(row), run_id),
            Cell(shown(row["measured"]) or "–", run_id),
            Cell(shown(row["residual"]) or "–", run_id, _ends(row)),
            Cell(_verdict(row["holds"]), "", "" if row["holds"] else str(row["reason"])),
        )
        for row in kept
    ]
    return Table("every prediction", PREDICTED, tuple(body), run_id, folded=True)


def _range(row: Mapping[str, Any]) -> str:
    if row["predicted"] is not None:
        return shown(row["predicted"])
    ends = (row["predicted_low"], row["predicted_high"])
    return "–" if None in ends else f"{shown(ends[0])} to {shown(ends[1])}"


def _ends(row: Mapping[str, Any]) -> str:
    ends = (row["residual_low"], row["residual_high"])
    return "" if None in ends else f"{shown(ends[0])} to {shown(ends[1])}"


def _verdict(holds: bool | None) -> str:
    return {True: "yes", False: "no", None: "cannot be said"}[holds]
