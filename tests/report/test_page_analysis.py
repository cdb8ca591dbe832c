"""The sections about what is inside the arms, from small files of the shape that the stages write."""

import json

import pytest
from page_inputs import CORE, NOVEL

from polymlops.report.page_analysis import adapters_section, mechanism_section, theory_section
from polymlops.report.page_files import PNG, Source


def prediction(**changes):
    row = {
        "arm": "baseline",
        "seed": 42,
        "selector": None,
        "theory": "DER bounds",
        "at": 10,
        "predicted": None,
        "predicted_low": 0.1,
        "predicted_high": 0.5,
        "measured": 0.3,
        "residual": 0.0,
        "residual_low": None,
        "residual_high": None,
        "holds": True,
        "reason": "within its bounds",
    }
    return row | changes


@pytest.fixture
def folder(tmp_path):
    return Source(tmp_path, NOVEL)


def text_of(section):
    return [item.text for item in section.sentences]


def test_what_was_not_run_says_why():
    for section in (adapters_section, mechanism_section, theory_section):
        assert section(None, "phase 2 failed").missing[0].endswith("phase 2 failed")


def test_adapters_have_findings_then_advice_then_figures(folder):
    (folder.folder / "ablation_findings.json").write_text(json.dumps({"baseline/42": ["layer 1 carries it"]}))
    (folder.folder / "rank_advice.json").write_text(json.dumps({"baseline/42": {"sentence": "rank 3 would do"}}))
    for name in ("lora_parameter_analysis", "layer_ablation_baseline"):
        (folder.folder / f"{name}.png").write_bytes(PNG)
    found = adapters_section(folder, "")
    assert text_of(found) == ["baseline/42: layer 1 carries it", "baseline/42: rank 3 would do"]
    assert [item.title for item in found.pictures][1] == "without a block of layers: baseline"
    assert {item.run_id for item in (*found.sentences, *found.pictures)} == {NOVEL}


def test_gradients_that_were_not_recorded_are_said_to_be(folder):
    (folder.folder / "mechanism_findings.json").write_text(json.dumps({"depth": ["they part at layer 2"]}))
    (folder.folder / "depth.csv").write_text("a,b,layer,kl\nbaseline,polychromic,2,0.25\n")
    found = mechanism_section(folder, "")
    assert text_of(found) == ["they part at layer 2"]
    assert any("set gradients.track" in reason for reason in found.missing)
    assert [cell.text for cell in found.tables[0].rows[0]] == ["baseline", "polychromic", "2", "0.250"]
    (folder.folder / "gradient_norms.png").write_bytes(PNG)
    found = mechanism_section(folder, "")
    assert not any("gradients.track" in reason for reason in found.missing)
    assert len(found.pictures) == 1


def test_theory_counts_what_holds_and_shows_every_prediction(folder):
    rows = [
        prediction(),
        prediction(holds=False, measured=0.7, residual=0.2, reason="left its bounds"),
        prediction(theory="pass@k, beta-binomial", at=16, predicted_low=None, predicted_high=None, holds=None),
        prediction(theory="reward by entropy", at=5),
    ]
    law = {"a": 0.3, "a_low": 0.2, "a_high": 0.4, "r_squared": 0.9, "held_out_rmse": 0.01, "held_out_spread": 0.1}
    described = {
        "predictions": rows,
        "entropy_laws": {"baseline_grpo/42": {**law, "holds": True, "reason": "it does"}},
        "failures": [],
    }
    (folder.folder / "theory.json").write_text(json.dumps(described))
    (folder.folder / "theory.png").write_bytes(PNG)
    found = theory_section(folder, "")
    assert text_of(found) == [
        "DER bounds: 1 of 2 predictions hold",
        "pass@k, beta-binomial: 0 of 0 predictions hold; of 1 nothing can be said",
        "reward by entropy: 1 of 1 predictions hold",
    ]
    laws, predictions = found.tables
    assert [cell.text for cell in laws.rows[0]][:2] == ["baseline_grpo/42", "0.300"]
    assert len(predictions.rows) == 3  # the law's steps are in its figure
    assert predictions.folded
    assert [cell.text for cell in predictions.rows[1]][4:] == ["0.100 to 0.500", "0.700", "0.200", "no"]
    assert predictions.rows[2][4].text == "–"


def test_a_stage_that_left_nothing_says_so(folder):
    assert theory_section(Source(folder.folder, CORE), "").missing == (
        "predictions beside measurements: theory.json was not written",
    )
    assert "no findings were written" in mechanism_section(folder, "").missing[0]
