"""The embedded world's truth as a judge, and how other judges agree with it."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from judge_server import Act, JudgeServer, completion, fields

from polymlops.config.judge import SOCIAL, EndpointJudgeConfig, JudgeConfig, TruthJudgeConfig
from polymlops.data.prompts import prompts_of
from polymlops.data.truth import load_truth
from polymlops.data.world_stories import draw_story, parse_story_prompt, render_story, story_prompts, story_quality
from polymlops.errors import InputError
from polymlops.evaluation.judge import Item, Pair, judge_items, judge_pairs
from polymlops.evaluation.judge_agreement import agreement_metrics, pair_agreement, score_agreement
from polymlops.evaluation.judge_tables import judge_metrics, pair_metrics, pair_table, verdict_table
from polymlops.evaluation.judge_truth import choice_of, score_of

TRUTH = JudgeConfig()


@pytest.fixture(scope="module")
def items():
    """Stories of every quality, and one that is none."""
    rng = np.random.default_rng(0)
    made = []
    for i, prompt in enumerate(story_prompts(5, 60)):
        story = render_story(draw_story(*parse_story_prompt(prompt), care=0.5, rng=rng), rng)
        made.append(Item(f"s{i}", prompt, story if i else "no story of this world"))
    return made


def noisy_judge(rate):
    """A script: the truth, but for a share of the texts (chosen by their lengths) one point off, up or down."""

    def script(number, seen):
        blocks, wanted = seen.blocks, fields(seen)
        text = blocks.get("TEXT", "")
        score = score_of(story_quality(blocks["PROMPT"], text))
        off = len(text) % 100 < 100 * rate
        score = score - 1 if off and score == 10 else score + off
        parts = [f'"{name}": {score}' for name in wanted]
        return Act(body=completion('{"reason": "", ' + ", ".join(parts) + "}"))

    return script


def endpoint(server):
    return JudgeConfig(
        backend=EndpointJudgeConfig(base_url=server.url, model="m", key_env=None, requests_per_minute=60_000.0)
    )


def test_scores_follow_true_quality(items):
    report = judge_items(TRUTH, items)
    for item, verdict in zip(items, report.verdicts, strict=True):
        quality = story_quality(item.prompt, item.text)
        assert set(verdict.scores.values()) == {math.floor(1 + 9 * quality + 0.5 + 1e-9)}
        assert (verdict.outcome, verdict.dollars) == ("scored", 0)
    assert report.verdicts[0].scores["coherence"] == 1
    assert len({verdict.scores["coherence"] for verdict in report.verdicts}) > 4
    assert (report.totals.scored, report.totals.calls, report.totals.dollars) == (60, 0, 0)


@pytest.mark.parametrize(("quality", "score"), [(0, 1), (1, 10), (0.5, 6), (0.05, 1), (0.06, 2), (0.7, 7), (0.94, 9)])
def test_the_mapping_of_quality(quality, score):
    assert score_of(quality) == score


def test_pairs_follow_true_quality_without_a_flip(items):
    pairs = [Pair(f"p{i}", items[i].prompt, items[i].text, items[(i + 7) % 60].text) for i in range(60)]
    report = judge_pairs(TRUTH, pairs)
    for pair, verdict in zip(pairs, report.verdicts, strict=True):
        first, second = story_quality(pair.prompt, pair.first), story_quality(pair.prompt, pair.second)
        assert verdict.winner == {"A": "first", "B": "second", "tie": "tie"}[choice_of(first, second)]
    assert (report.flip_rate, report.wavering_rate) == (0, 0)
    assert report.shown_first_rate == 0.5
    assert 0 < report.tie_rate < 1


def test_social_replies_are_judged_by_their_post(small_dataset):
    truth = load_truth(small_dataset)
    config = JudgeConfig(backend=TruthJudgeConfig(domain="social"), rubric=SOCIAL)
    prompts = prompts_of(small_dataset, "test", 5, 0)
    replies = pl.read_parquet(small_dataset / "test.parquet")
    texts = {row["post_id"]: row["reply"] for row in replies.iter_rows(named=True)}
    items = [Item(prompt.prompt_id, prompt.text, texts[prompt.prompt_id], prompt.prompt_id) for prompt in prompts]
    report = judge_items(config, items, truth=truth)
    for item, verdict in zip(items, report.verdicts, strict=True):
        assert verdict.scores["tone"] == score_of(truth.judge(item.prompt_id, item.text).quality)
    assert report.criteria == ("relevance", "engagement", "tone", "clarity")
    with pytest.raises(InputError, match="load_truth"):
        judge_items(config, items)
    with pytest.raises(InputError, match="no post of this dataset"):
        judge_items(config, [Item("x", "p", "t", "nobody")], truth=truth)


def test_one_text_for_two_posts_of_equal_wording_is_judged_for_each(small_dataset):
    """Posts may share their wording and differ in the taste that is hidden."""
    truth = load_truth(small_dataset)
    config = JudgeConfig(backend=TruthJudgeConfig(domain="social"), rubric=SOCIAL)
    replies = pl.read_parquet(small_dataset / "test.parquet")
    text = replies["reply"][0]
    ids = sorted(truth.posts)[:40]
    report = judge_items(config, [Item(post_id, "the same wording", text, post_id) for post_id in ids], truth=truth)
    expected = [score_of(truth.judge(post_id, text).quality) for post_id in ids]
    assert [verdict.scores["tone"] for verdict in report.verdicts] == expected
    assert len(set(expected)) > 1


def test_a_foreign_prompt_is_refused():
    with pytest.raises(InputError, match="no story prompt of the embedded world"):
        judge_items(TRUTH, [Item("a", "Write a poem.", "Roses are red.")])
    with pytest.raises(InputError, match="item_key 'a' comes 2 times"):
        judge_items(TRUTH, [Item("a", "p", "t"), Item("a", "p", "u")])
    with pytest.raises(InputError, match="needs a store"):
        judge_items(JudgeConfig(backend=EndpointJudgeConfig(base_url="http://127.0.0.1:9", model="m")), [])


def test_nothing_to_judge_is_an_empty_report():
    report = judge_items(TRUTH, [])
    assert report.verdicts == ()
    assert math.isnan(judge_metrics(report)["judge/scored_share"])
    assert math.isnan(judge_pairs(TRUTH, []).flip_rate)


def test_a_judge_of_known_noise_agrees_with_the_truth_as_far_as_it_should(items, tmp_path):
    truth = judge_items(TRUTH, items)
    with JudgeServer(noisy_judge(0.0)) as server:
        exact = judge_items(endpoint(server), items, tmp_path / "exact.sqlite")
        server.script = noisy_judge(0.4)
        noisy = judge_items(endpoint(server), items, tmp_path / "noisy.sqlite")
    perfect = score_agreement(exact, truth, np.random.default_rng(0), 500)
    assert set(perfect) == {"coherence", "engagement", "originality", "fit"}
    assert perfect["coherence"].kappa.value == perfect["fit"].alpha_interval.value == 1
    found = score_agreement(noisy, truth, np.random.default_rng(0), 500)["coherence"]
    differ = sum(a.scores["fit"] != b.scores["fit"] for a, b in zip(noisy.verdicts, truth.verdicts, strict=True))
    assert 0 < differ < 60
    assert found.kappa.high < 1
    assert found.kappa.value < found.quadratic_kappa.value  # a point off is nearly right
    metrics = agreement_metrics(found, "judge/agreement/coherence")
    assert metrics["judge/agreement/coherence/kappa_low"] < metrics["judge/agreement/coherence/kappa"]
    assert metrics["judge/agreement/coherence/items"] == 60


def test_agreement_is_over_the_items_that_both_were_given(items):
    first, second = judge_items(TRUTH, items[:40]), judge_items(TRUTH, items[20:])
    found = score_agreement(first, second, np.random.default_rng(0), 100)["fit"]
    assert (found.items, found.missing, found.kappa.value) == (20, 0, 1)
    prompts = {item.item_key: item.prompt for item in items}
    by_prompt = score_agreement(first, second, np.random.default_rng(0), 100, prompts)["fit"]
    assert by_prompt.kappa.n == len({item.prompt for item in items[20:40]})
    with pytest.raises(InputError, match="no item in common"):
        score_agreement(judge_items(TRUTH, items[:5]), judge_items(TRUTH, items[5:9]), np.random.default_rng(0), 100)
    pairs = [Pair(f"p{i}", items[i].prompt, items[i].text, items[i + 1].text) for i in range(30)]
    report = judge_pairs(TRUTH, pairs)
    assert pair_agreement(report, report, np.random.default_rng(0), 100).kappa.value == 1


def test_tables_and_metrics_say_what_the_report_says(items, tmp_path):
    def script(number, seen):
        return Act(body=completion("?")) if "no story" in seen.content else noisy_judge(0.0)(number, seen)

    with JudgeServer(script) as server:
        report = judge_items(endpoint(server), items[:3], tmp_path / "verdicts.sqlite")
    table = verdict_table(report)
    assert table.columns[:5] == ["item_key", "coherence", "engagement", "originality", "fit"]
    assert table["coherence"].to_list()[0] is None
    assert table["outcome"].to_list() == ["unscored", "scored", "scored"]
    table.write_parquet(tmp_path / "verdicts.parquet")
    metrics = judge_metrics(report)
    scored = [verdict.scores["fit"] for verdict in report.verdicts[1:]]
    assert metrics["judge/fit"] == np.mean(scored)  # the unscored one is no number at all
    assert metrics["judge/scored_share"] == pytest.approx(2 / 3)
    assert metrics["judge/unscored"] == 1
    assert metrics["judge/calls"] == 5
    assert math.isnan(metrics["judge/dollars"])
    pairs = judge_pairs(TRUTH, [Pair("p", items[1].prompt, items[1].text, "nothing")])
    assert pair_table(pairs).row(0, named=True)["winner"] in ("first", "tie")
    assert pair_metrics(pairs)["judge_pairs/questions"] == 2
