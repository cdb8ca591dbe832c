"""Scores of creative writing against the world's truth, hand computation, and the library's own metrics."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from judge_server import Act, JudgeServer, completion, fields
from story_samples import stories, story, write_samples

from polymlops.config.creative import CreativeScoreSpec, CreativeScoring
from polymlops.config.judge import EndpointJudgeConfig, JudgeConfig
from polymlops.data.world_stories import parse_story, story_prompts, story_quality
from polymlops.errors import InputError, StageError
from polymlops.evaluation.creative import CreativeInputs, score_creative
from polymlops.evaluation.creative_perplexity import BaseReader, Likelihood, Text
from polymlops.metrics.lexical import pairwise_bleu, rarefied_distinct_n, self_bleu
from polymlops.metrics.quality import perplexity, repetition
from polymlops.metrics.semantic import mean_pairwise_distance, vendi_score
from polymlops.models.encoder import embed, load_encoder

SPEC = CreativeScoreSpec(arm="baseline", seed=42, scoring=CreativeScoring(ks=(1, 3), rarefied=20))
TRUTH = JudgeConfig()


@pytest.fixture
def score(small_base, make_job):
    def run(texts_of, spec=SPEC, cut=(), equivalence=None, **inputs):
        samples, job = make_job("samples"), make_job("scores")
        write_samples(samples.output, texts_of, cut)
        given = CreativeInputs(samples.output, small_base / "encoder", **inputs)
        metrics = score_creative(spec, given, job, equivalence)
        return metrics, *(pl.read_parquet(job.output / f"{name}.parquet") for name in ("scores", "diversity"))

    return run


def by_text(texts, embeddings_KD):
    return np.array([[a == b for b in texts] for a in texts])


def test_stories_of_the_world_get_their_true_quality(score):
    texts_of = stories(4, 3)
    prompt = next(iter(texts_of))
    texts_of[prompt][0] = "no story of this world"
    metrics, scores, _ = score(texts_of, judge=TRUTH)
    expected = [story_quality(prompt, text) for prompt, texts in texts_of.items() for text in texts]
    assert scores["quality"].to_list() == pytest.approx(expected)
    assert scores["passed"].to_list() == [value >= 0.75 for value in expected]
    assert scores["well_formed"].to_list() == [False] + [True] * 11
    assert scores["intent"][0] is None
    parsed = parse_story(texts_of[prompt][1])
    assert scores["intent"][1] == f"{parsed.obstacle}; {parsed.resolution}"
    assert metrics["creative/quality"] == pytest.approx(np.mean(expected))
    assert metrics["creative/pass_at_1"] == pytest.approx(np.mean(np.array(expected) >= 0.75))
    assert metrics["creative/pass_at_3"] == pytest.approx(
        np.mean((np.array(expected) >= 0.75).reshape(4, 3).any(axis=1))
    )
    assert scores["judge_coherence"].to_list() == [1 + math.floor(9 * value + 0.5) for value in expected]
    assert metrics["creative/judge_engagement"] == pytest.approx(scores["judge_engagement"].mean())
    assert metrics["creative/judge/scored_share"] == 1.0
    assert metrics["creative/unscored"] == 0.0


def test_every_measure_of_a_prompt_is_that_of_its_texts(score, small_base):
    texts_of = stories(2, 4)
    metrics, scores, diversity = score(texts_of, cut={(1, 0)})
    encoder = load_encoder(small_base / "encoder")
    for row, texts in zip(diversity.iter_rows(named=True), texts_of.values(), strict=True):
        vectors = embed(encoder, texts)
        expected = {
            "self_bleu": self_bleu(texts),
            "pairwise_bleu": pairwise_bleu(texts),
            "rarefied_distinct_2_at_20": rarefied_distinct_n(texts, 2, 20),
            "semantic_diversity": mean_pairwise_distance(vectors),
            "vendi": vendi_score(vectors),
            "repetition": repetition(texts, 3).mean(),
        }
        assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert diversity["truncated"].to_list() == [0.0, 0.25]
    assert metrics["creative/truncated"] == pytest.approx(0.125)
    assert metrics["creative/self_bleu"] == pytest.approx(diversity["self_bleu"].mean())
    assert {"length", "quality"} & set(diversity.columns) == set()
    assert scores.height == 8


def test_novelty_follows_the_rule_that_is_plugged_in(score):
    prompt = story_prompts(0, 1)[0]
    good = story(prompt, care=1.0)
    bad = "no story of this world"
    metrics, scores, diversity = score({prompt: [good, good, bad]}, equivalence=by_text)
    assert scores["class"].to_list() == [0, 0, 1]
    assert diversity["novelty_distinct_at_1"].to_list() == [1.0]
    assert diversity["novelty_distinct_at_3"].to_list() == [2.0]
    assert diversity["novelty_utility_at_3"].to_list() == pytest.approx([0.2 / (1 - 0.8**3)])
    assert "creative/equivalence_threshold" not in metrics


def test_the_threshold_is_calibrated_where_pairs_are_given(score, tmp_path):
    texts_of = stories(2, 3)
    texts = [text for row in texts_of.values() for text in row]
    pairs = [{"first": text, "second": text, "same": True} for text in texts]
    pairs += [{"first": texts[i], "second": texts[-i - 1], "same": False} for i in range(3)]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    metrics, scores, _ = score(texts_of, SPEC.model_copy(update={"labelled_pairs": path}))
    assert 0 < metrics["creative/equivalence_threshold"] < 1
    assert metrics["creative/equivalence_balanced_accuracy"] == 1.0
    assert metrics["creative/equivalence_pairs"] == 9.0
    assert scores["class"].max() > 0
    path.write_text('{"first": "a", "second": "b", "same": "yes"}\n')
    with pytest.raises(InputError, match=r"pairs.jsonl:1: 'same' is 'yes': write true or false"):
        score(texts_of, SPEC.model_copy(update={"labelled_pairs": path}))


def test_without_truth_and_judge_quality_is_null_and_counted(score):
    texts_of = {"Name a colour.": ["red", "blue", " "], "Name a cat.": ["Tom", "Tom", "Tom"]}
    metrics, scores, diversity = score(texts_of, equivalence=by_text)
    assert scores["quality"].null_count() == scores["passed"].null_count() == 6
    assert scores["well_formed"].to_list() == [True, True, False, True, True, True]
    assert scores["intent"].to_list() == ["class 0", "class 1", "class 2", "class 0", "class 0", "class 0"]
    assert scores["quality_version"].unique().to_list() == ["none>=0.75"]
    assert metrics["creative/unscored"] == 6.0
    assert math.isnan(metrics["creative/quality"])
    assert metrics["creative/quality_undefined"] == metrics["creative/pass_at_1_undefined"] == 2.0
    assert math.isnan(metrics["creative/novelty_utility_at_3"])
    assert metrics["creative/distinct_intents_at_3"] == pytest.approx(2.0)
    assert diversity["rarefied_distinct_2_at_20"].null_count() == 2
    assert metrics["creative/rarefied_distinct_2_at_20_undefined"] == 2.0


def judge_script(number, seen):
    """9, 7, 5 and 3 for a text; nonsense for the text that asks for it."""
    if "nonsense" in seen.blocks["TEXT"]:
        return Act(body=completion("no JSON at all"))
    parts = [f'"{name}": {score}' for name, score in zip(fields(seen), (9, 7, 5, 3), strict=True)]
    return Act(body=completion('{"reason": "", ' + ", ".join(parts) + "}"))


def test_a_judge_gives_quality_where_there_is_no_truth_and_null_stays_null(score):
    with JudgeServer(judge_script) as server:
        backend = EndpointJudgeConfig(base_url=server.url, model="m", key_env=None, parse_retries=0)
        judge = JudgeConfig(backend=backend)
        texts_of = {"Name a colour.": ["red", "nonsense", "blue"]}
        metrics, scores, diversity = score(texts_of, judge=judge, equivalence=by_text)
        assert len(server.seen) == 3
        again, *_ = score(texts_of, judge=judge, equivalence=by_text)
        assert len(server.seen) == 3  # verdicts in the job's scratch are not asked for again
    assert scores["quality"].to_list() == pytest.approx([5 / 9, None, 5 / 9])
    assert scores["passed"].to_list() == [False, None, False]
    assert scores["judge_outcome"].to_list() == ["scored", "unscored", "scored"]
    assert diversity["judge_coherence"].to_list() == [9.0]
    assert diversity["judge_engagement"].to_list() == [7.0]
    assert diversity["novelty_utility_at_3"].null_count() == 1  # the second text is new, and nobody knows its worth
    assert metrics["creative/unscored"] == metrics["creative/judge/unscored"] == 1.0
    assert metrics["creative/quality"] == again["creative/quality"] == pytest.approx(5 / 9)
    assert metrics["creative/pass_at_3_undefined"] == 1.0  # two scored candidates cannot show three


def test_a_set_of_verdicts_that_is_not_whole_is_no_result(score, tmp_path):
    texts_of = {"Name a colour.": ["red", "blue", "green"]}
    store = tmp_path / "verdicts.sqlite"
    with JudgeServer(judge_script) as server:
        backend = EndpointJudgeConfig(base_url=server.url, model="m", key_env=None, budget_calls=2, concurrency=1)
        with pytest.raises(StageError, match=r"1 of 3 texts have no verdict .*raise the budget"):
            score(texts_of, judge=JudgeConfig(backend=backend), equivalence=by_text, verdicts=store)
        more = backend.model_copy(update={"budget_calls": 10})
        metrics, *_ = score(texts_of, judge=JudgeConfig(backend=more), equivalence=by_text, verdicts=store)
        assert len(server.seen) == 3  # the third alone was asked again
    assert metrics["creative/judge/scored_share"] == 1.0


def test_two_judges_agree_as_far_as_they_do(score):
    texts_of = stories(6, 3)
    same, *_ = score(texts_of, judge=TRUTH, second_judge=TRUTH)
    assert same["creative/agreement/coherence/kappa"] == 1.0
    assert same["creative/agreement/coherence/items"] == 18.0
    with JudgeServer(judge_script) as server:
        backend = EndpointJudgeConfig(base_url=server.url, model="m", key_env=None)
        other, *_ = score(texts_of, judge=TRUTH, second_judge=JudgeConfig(backend=backend))
    assert other["creative/agreement/coherence/alpha_interval"] < 0.5  # it says 9 whatever it reads
    assert other["creative/judge_coherence"] == same["creative/judge_coherence"]  # the second changes no score


def test_perplexity_is_that_of_the_base_model(score, small_base):
    import torch

    from polymlops.data.prompts import chat
    from polymlops.generation.encoding import encode_chat
    from polymlops.models.loading import load_base, load_tokenizer

    texts_of = stories(2, 2)
    metrics, scores, diversity = score(texts_of, cut={(0, 1)}, base=small_base)
    model, tokenizer = load_base(small_base), load_tokenizer(small_base)
    expected = []
    for i, (prompt, texts) in enumerate(texts_of.items()):
        for j, text in enumerate(texts):
            prefix = encode_chat(tokenizer, chat(prompt))
            body = tokenizer(text, add_special_tokens=False).input_ids + [tokenizer.eos_token_id] * ((i, j) != (0, 1))
            ids = torch.tensor([[*prefix, *body]])
            with torch.inference_mode():
                log_probs = model(input_ids=ids).logits[0].double().log_softmax(-1)
            positions = range(len(prefix) - 1, ids.shape[1] - 1)
            expected.append((sum(float(log_probs[t, ids[0, t + 1]]) for t in positions), len(body)))
    assert scores["base_tokens"].to_list() == [count for _, count in expected]
    assert scores["base_logprob"].to_list() == pytest.approx([value for value, _ in expected], rel=1e-4)
    np.testing.assert_allclose(scores["perplexity"], perplexity(*zip(*expected, strict=True)), rtol=1e-4)
    pooled = [math.exp(-(a + c) / (b + d)) for (a, b), (c, d) in (expected[:2], expected[2:])]
    assert diversity["perplexity"].to_list() == pytest.approx(pooled, rel=1e-4)
    assert metrics["creative/perplexity"] == pytest.approx(np.mean(pooled), rel=1e-4)


def test_a_base_without_a_chat_template_reads_continuations(small_base, tmp_path):
    from polymlops.models.loading import load_tokenizer

    shutil.copytree(small_base, tmp_path / "plain")
    tokenizer = load_tokenizer(small_base)
    tokenizer.chat_template = None
    (tmp_path / "plain" / "chat_template.jinja").unlink(missing_ok=True)
    tokenizer.save_pretrained(tmp_path / "plain")
    whole, start = "once there was a tiny fox by the river. but a storm came down.", "once there was a tiny fox"
    rest = whole.removeprefix(start).strip()
    texts = [Text(start, rest, False), Text("once", whole.removeprefix("once").strip(), False), Text(start, "", True)]
    [tail, longer, end] = BaseReader.load(tmp_path / "plain").likelihoods(texts)
    [head] = BaseReader.load(tmp_path / "plain").likelihoods([Text("once", start.removeprefix("once").strip(), False)])
    assert longer.logprob == pytest.approx(head.logprob + tail.logprob, rel=1e-4)  # the chain rule
    assert longer.tokens == head.tokens + tail.tokens
    assert end.tokens == 1
    full = Text("fox " * 300, "no room", True)
    assert BaseReader.load(tmp_path / "plain").likelihoods([full]) == [Likelihood(0.0, 0)]


def test_a_real_model_finds_real_stories_likelier_than_shuffled_ones():
    folder = os.environ.get("POLYMLOPS_DATA")
    if not folder:
        pytest.skip("POLYMLOPS_DATA names no folder with stories260K")
    words = (Path(folder) / "tinystories_sample.txt").read_text().split()[:120]
    shuffled = [str(word) for word in np.random.default_rng(0).permutation(words[10:])]
    texts = [Text(" ".join(words[:10]), " ".join(rest), False) for rest in (words[10:], shuffled)]
    real, mixed = BaseReader.load(Path(folder) / "stories260K").likelihoods(texts)
    assert math.exp(-real.logprob / real.tokens) < 10 < math.exp(-mixed.logprob / mixed.tokens)


def test_ratings_of_people_are_joined_and_counted(score, tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text("prompt_id,sample_id,fun\np0,0,4\np1,1,2\n")
    metrics, scores, diversity = score(stories(2, 2), SPEC.model_copy(update={"ratings": path}))
    assert scores["human_fun"].to_list() == [4.0, None, None, 2.0]
    assert diversity["human_fun"].to_list() == [4.0, 2.0]
    assert metrics["creative/human_fun"] == 3.0
    assert metrics["creative/human_fun_rated_share"] == 0.5


def test_the_samples_of_another_arm_are_refused(score):
    with pytest.raises(InputError, match="the sample set is of baseline/42, not of polychromic/42"):
        score(stories(1, 2), SPEC.model_copy(update={"arm": "polychromic"}))


def test_scores_are_what_the_report_reads(score, make_job):
    from polymlops.report.scores import metrics_by_prompt, read_scores

    score(stories(3, 4), judge=TRUTH)
    read = read_scores("baseline/42", make_job("scores").output)
    assert read.n == 4
    assert {"novelty_distinct_at_3", "vendi", "judge_coherence"} <= set(metrics_by_prompt(read, (1, 3)))


def test_one_text_without_a_verdict_does_not_cost_the_others_their_report(score, make_job):
    from polymlops.config.slices import ReportSpec
    from polymlops.report.creative import write_creative_results

    with JudgeServer(judge_script) as server:
        backend = EndpointJudgeConfig(base_url=server.url, model="m", key_env=None, parse_retries=0)
        texts_of = {"Name a colour.": ["red", "nonsense", "blue"], "Name a bird.": ["owl", "tit", "jay"]}
        score(texts_of, judge=JudgeConfig(backend=backend), equivalence=by_text)
    job, spec = make_job("report"), ReportSpec(arms=("baseline",), domain="creative", ks=(1, 3), resamples=100)
    write_creative_results(spec, {"baseline/42": make_job("scores").output}, job)
    table = {row["metric"]: row for row in json.loads((job.output / "table.json").read_text())}
    assert (table["quality"]["value"], table["quality"]["undefined"]) == (pytest.approx(5 / 9), 0)
    assert table["pass_at_3"]["undefined"] == 1  # two scored candidates cannot show three
    (note,) = [note for note in json.loads((job.output / "notes.json").read_text()) if "without a verdict" in note]
    assert note.startswith("baseline/42: 1 candidates, of 1 prompts, without a verdict (judge: unscored)")
