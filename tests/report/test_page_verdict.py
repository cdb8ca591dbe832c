"""Which arm comes first: named only where it can be told from all others."""

import json
from itertools import combinations

import numpy as np
import pytest
from novel_inputs import write_arms
from page_inputs import NOVEL, RUNS, job_in

from polymlops.config.novel import NovelSpec
from polymlops.report.novel import write_novel_metrics
from polymlops.report.page_content import PageSources, gather
from polymlops.report.page_files import Source
from polymlops.report.page_verdict import leader_sentence

METRIC = "usq_reward_at_10"


def pair(arm, reference, difference, claim, seeds=1):
    return {"arm": arm, "reference": reference, "difference": difference, "claim": claim, "seeds": seeds}


def said(means, pairs):
    return leader_sentence("social", METRIC, means, pairs, "run")


def test_a_winner_is_told_from_each_of_the_others():
    found = said({"a": 0.5, "b": 0.9, "c": 0.6}, [pair("b", "a", 0.4, True), pair("c", "b", -0.3, True)])
    assert found.tone == "claim"
    assert found.text == (
        "social: b comes first on usq_reward_at_10 (0.900), told apart from each of the others; "
        "one training seed: of these runs only"
    )


def test_inside_noise_there_is_no_winner():
    found = said({"a": 0.5, "b": 0.9, "c": 0.8}, [pair("b", "a", 0.4, True), pair("c", "b", -0.1, False)])
    assert found.tone == "open"
    assert "no single winner" in found.text
    assert "cannot be told from c; it is above a; one training seed" in found.text


def test_with_several_seeds_nothing_is_said_about_one():
    found = said({"a": 0.5, "b": 0.9}, [pair("b", "a", 0.4, True, seeds=3)])
    assert "seed" not in found.text


@pytest.mark.parametrize("bits", range(8))
def test_a_winner_needs_every_claim(bits):
    """Every pattern of claims among three arms: a winner only where both of the leader's pairs may be claimed."""
    means = {"a": 0.2, "b": 0.5, "c": 0.7}
    claims = dict(zip(combinations(means, 2), (bool(bits & 1 << i) for i in range(3)), strict=True))
    pairs = [pair(b, a, means[b] - means[a], claim) for (a, b), claim in claims.items()]
    found = said(means, pairs)
    assert (found.tone == "claim") == (claims["a", "c"] and claims["b", "c"])
    assert ("comes first" in found.text) == (found.tone == "claim")


def test_equal_arms_have_no_winner_on_the_page(tmp_path):
    chances = {"baseline/1": 0.5, "baseline/2": 0.5, "polychromic/1": 0.5, "polychromic/2": 0.5}
    content, rows = page_of(tmp_path, chances)
    assert content.verdict.sentences[0].tone == "open"
    assert "no single winner" in content.verdict.sentences[0].text
    assert not any(row["claim"] for row in rows if row["metric"] == METRIC)


def test_a_better_arm_wins_on_the_page(tmp_path):
    content, rows = page_of(tmp_path, {"baseline/1": 0.2, "polychromic/1": 0.8})
    (row,) = [row for row in rows if row["metric"] == METRIC]
    assert row["low"] > 0
    assert content.verdict.sentences[0].tone == "claim"
    assert content.verdict.sentences[0].text.startswith(f"social: polychromic comes first on {METRIC}")
    assert np.isfinite(row["p_holm"])


def page_of(folder, chances):
    scores, samples = write_arms(folder, chances)
    job = job_in(folder / "novel")
    write_novel_metrics(NovelSpec(arms=("baseline", "polychromic"), resamples=2000), scores, samples, job)
    rows = json.loads((job.output / "novel_comparisons.json").read_text())
    sources = PageSources(title="t", core=None, novel={"social": Source(job.output, NOVEL)}, runs=RUNS)
    return gather(sources), rows
