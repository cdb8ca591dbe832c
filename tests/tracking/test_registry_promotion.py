"""The promotion rule: an interval above 0 and no failed gate; every decision is recorded, a refusal moves nothing."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from registry_parts import BETTER, aliases, decide, gates, make_adapter, make_candidate, stored, versions

from polymlops.errors import InputError, TrackingError
from polymlops.records import Estimate
from polymlops.tracking.registry import register_adapter
from polymlops.tracking.registry_promotion import (
    alarm_gate,
    decide_promotion,
    difference_gate,
    promote,
    record_path,
)

NAME = "polymlops-smoke-grpo-baseline"
SAME = Estimate(0.01, -0.02, 0.03, 100)
WORSE, UNDEFINED = Estimate(-0.05, -0.08, -0.02, 100), Estimate(math.nan)
ALARM = {"kind": "kl", "step": 5, "reason": "KL 1.20 above 1.00"}


@pytest.mark.parametrize(
    "difference",
    [SAME, WORSE, UNDEFINED, Estimate(0.05), Estimate(0.05, 0.0, 0.1, 9), Estimate(1e-16, 1e-17, 1e-15, 9)],
)
def test_only_an_interval_above_zero_promotes(difference):
    assert decide(BETTER).promoted
    refused = decide(difference)
    assert not refused.promoted
    assert "the interval does not lie above 0" in refused.reason


@pytest.mark.parametrize("name", ["training_alarm", "pass_at_1", "well_formed"])
def test_each_gate_refuses_and_is_named(name):
    refused = decide(BETTER, **{name: "it fell"})
    assert not refused.promoted
    assert refused.reason == f"gate {name}: it fell"


def test_every_gate_must_have_been_looked_at():
    for wrong in (gates()[:2], [*gates(), gates()[0]], []):
        with pytest.raises(InputError, match="each once"):
            decide_promotion(BETTER, wrong, "usq", 1)


@pytest.mark.parametrize(
    ("difference", "passed"), [(BETTER, True), (SAME, True), (Estimate(0, 0, 0, 9), True), (WORSE, False)]
)
def test_a_fall_is_an_interval_below_zero(difference, passed):
    assert difference_gate("pass_at_1", difference).passed is passed


def test_what_was_not_measured_fails():
    gate = difference_gate("well_formed", UNDEFINED)
    assert not gate.passed
    assert "no interval" in gate.reason


@pytest.mark.parametrize(("kept", "alarm", "passed"), [(6, None, True), (4, ALARM, True), (0, ALARM, False)])
def test_alarm_gate(tmp_path, kept, alarm, passed):
    (tmp_path / "adapter.json").write_text(json.dumps({"kept_step": kept, "alarm": alarm}))
    gate = alarm_gate(tmp_path)
    assert gate.passed is passed
    assert alarm is None or "KL 1.20 above 1.00" in gate.reason


def test_alarm_gate_wants_an_adapter_by_grpo(tmp_path):
    with pytest.raises(InputError, match="no adapter by GRPO"):
        alarm_gate(tmp_path)
    (tmp_path / "adapter.json").write_text(json.dumps({"base_weights_sha256": "0"}))
    with pytest.raises(InputError, match="no adapter by GRPO"):
        alarm_gate(tmp_path)


@pytest.fixture
def two_versions(book, small_base, tmp_path):
    """Two versions of one registered model."""
    first = make_candidate(book, small_base, tmp_path)
    other = stored(book, make_adapter(small_base, tmp_path / "second", seed=1))
    second = replace(first, adapter=other)
    return register_adapter(book.context, first), register_adapter(book.context, second)


def test_champion_moves_by_the_rule_only(book, two_versions):
    first, second = two_versions
    assert promote(book.client, first, decide(BETTER)).aliases == ("champion",)
    assert promote(book.client, second, decide(SAME)).aliases == ("candidate",)
    assert aliases(book.client, NAME) == {"candidate": 2, "champion": 1}
    promote(book.client, second, decide(BETTER))
    assert aliases(book.client, NAME) == {"candidate": 2, "champion": 2}


def test_a_champion_that_no_longer_meets_the_rule_is_none(book, two_versions):
    first, _ = two_versions
    promote(book.client, first, decide(BETTER))
    assert promote(book.client, first, decide(BETTER, pass_at_1="it fell")).aliases == ()
    assert versions(book.client, NAME)[1]["promotion.promoted"] == "false"


@pytest.mark.parametrize("decision", [decide(BETTER), decide(UNDEFINED, well_formed="it fell")], ids=["yes", "no"])
def test_the_decision_is_recorded_on_the_version(book, two_versions, decision, tmp_path):
    first, _ = two_versions
    promote(book.client, first, decision)
    promote(book.client, first, decision)  # said twice, recorded once
    tags = {name: value for name, value in versions(book.client, NAME)[1].items() if name.startswith("promotion.")}
    assert tags == decision.tags()
    assert tags["promotion.promoted"] == str(decision.promoted).lower()
    assert float(tags["promotion.usq_low"]) == pytest.approx(decision.usq_difference.low, nan_ok=True)
    path = book.client.download_artifacts(first.run_id, record_path(first), str(tmp_path))
    record = json.loads(Path(path).read_text())
    assert record["reason"] == decision.reason
    assert record["usq_difference"]["low"] == (None if math.isnan(decision.usq_difference.low) else 0.02)
    assert [gate["name"] for gate in record["gates"]] == ["training_alarm", "pass_at_1", "well_formed"]


def test_an_incomplete_version_is_never_promoted(book, two_versions):
    first, _ = two_versions
    book.client.delete_model_version_tag(NAME, "1", "complete")
    with pytest.raises(TrackingError, match="not complete"):
        promote(book.client, first, decide(BETTER))
    assert "champion" not in aliases(book.client, NAME)
