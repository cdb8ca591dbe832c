"""The reward model: what it may see, what it must beat, and that a pair's score is its own."""

from __future__ import annotations

import json
import shutil

import numpy as np
import polars as pl
import pytest
from scipy.stats import pearsonr, spearmanr

from polymlops.config.profiles import load_config
from polymlops.config.rewards import CrossEncoderConfig, RewardModelConfig
from polymlops.data.preparation import prepare_dataset
from polymlops.errors import ArtifactError, DataQualityError, InputError
from polymlops.records import Job
from polymlops.training.reward_blocks import TERMS
from polymlops.training.reward_data import fold_numbers, load_rows, rank_scores
from polymlops.training.reward_features import FrozenFeatures, split_post
from polymlops.training.reward_likelihood import ReplyLikelihood
from polymlops.training.reward_low_rank import fit_low_rank
from polymlops.training.reward_model import load_reward_model, train_reward_model
from polymlops.training.reward_validation import Held, agreement, pearson_gain, rank_gain

FROZEN = RewardModelConfig(candidates=("frozen",), folds=2, references=2, resamples=200, validate=False)


def train(config, base, dataset, folder):
    for name in ("output", "scratch"):
        (folder / name).mkdir(parents=True)
    metrics = train_reward_model(config, base, dataset, Job(folder / "output", folder / "scratch", lambda m, s: None))
    return folder / "output", metrics


@pytest.fixture(scope="module")
def trained(small_base, small_dataset, tmp_path_factory):
    return train(FROZEN, small_base, small_dataset, tmp_path_factory.mktemp("reward"))


@pytest.fixture(scope="module")
def cross_encoder(small_base, small_dataset, tmp_path_factory):
    quick = CrossEncoderConfig(epochs=1, batch=32, learning_rate=0.003)
    config = FROZEN.model_copy(update={"candidates": ("cross_encoder",), "cross_encoder": quick})
    return train(config, small_base, small_dataset, tmp_path_factory.mktemp("cross"))


@pytest.fixture(scope="module")
def pairs(small_dataset):
    frame = pl.read_parquet(small_dataset / "test.parquet").head(12)
    return frame["post"].to_list(), frame["reply"].to_list()


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_only_the_likes_of_the_reward_split_matter(trained, small_base, small_dataset, tmp_path):
    folder, metrics = trained
    poisoned = tmp_path / "data"
    shutil.copytree(small_dataset, poisoned)
    for name in ("train_sft", "train_grpo", "validation", "test"):
        path = poisoned / f"{name}.parquet"
        pl.read_parquet(path).with_columns(likes=(pl.col("likes") * 7919 + 13) % 1000).write_parquet(path)
    (poisoned / "truth.parquet").unlink()
    again, found = train(FROZEN, small_base, poisoned, tmp_path / "again")
    assert files_of(again) == files_of(folder)
    assert found == metrics


def test_likes_and_seed_of_the_reward_split_do_matter(trained, small_base, small_dataset, tmp_path):
    folder, _ = trained
    reseeded, _ = train(FROZEN.model_copy(update={"seed": 1}), small_base, small_dataset, tmp_path / "seed")
    shutil.copytree(small_dataset, tmp_path / "data")
    path = tmp_path / "data" / "reward.parquet"
    pl.read_parquet(path).with_columns(pl.col("likes") * 2 + 1).write_parquet(path)
    other, _ = train(FROZEN, small_base, tmp_path / "data", tmp_path / "other")
    arrays = {(model / "frozen.safetensors").read_bytes() for model in (folder, reseeded, other)}
    assert len(arrays) == 3


@pytest.mark.parametrize("kind", ["trained", "cross_encoder"])
def test_batch_and_single_calls_agree_after_loading(kind, pairs, request):
    folder, _ = request.getfixturevalue(kind)
    model = load_reward_model(folder)
    posts, replies = pairs
    replies = [*replies[:-2], "", "x" * 400]
    batch = model.score(posts, replies)
    single = [model.score([post], [reply])[0] for post, reply in zip(posts, replies, strict=True)]
    np.testing.assert_allclose(batch, single, atol=1e-6)
    order = np.random.default_rng(0).permutation(len(posts))
    shuffled = model.score([posts[i] for i in order], [replies[i] for i in order])
    np.testing.assert_allclose(shuffled, batch[order], atol=1e-6)
    assert np.ptp(batch) > 0


def test_the_folder_is_complete_and_holds_no_pickle(trained, cross_encoder):
    for folder, _ in (trained, cross_encoder):
        assert {path.suffix for path in folder.rglob("*") if path.is_file()} <= {
            ".json",
            ".safetensors",
            ".jinja",
            ".md",
        }
        assert (folder / "reward_model.json").is_file()


def test_the_report_tells_everything(trained):
    folder, metrics = trained
    report = json.loads((folder / "report.json").read_text())
    assert set(report["baselines"]) == set(report["gains"]) == {"length", "author_mean", "tfidf_ridge"}
    assert metrics["reward/pearson"] == report["model"]["pearson"]["value"]
    assert metrics["reward/pearson_low"] < metrics["reward/pearson"] < metrics["reward/pearson_high"]
    assert report["model"]["within_post_spearman"]["n"] <= report["posts"]
    assert metrics["reward/ceiling_share"] == pytest.approx(metrics["reward/pearson"] / report["ceiling"]["pearson"])
    assert report["ceiling"]["pearson"] == pytest.approx(0.657, abs=0.001)
    table = report["calibration"]["reliability"]
    assert sum(row["replies"] for row in table) == report["rows"]
    assert [row["mean_score"] for row in table] == sorted(row["mean_score"] for row in table)
    assert np.all(np.diff(report["calibration"]["isotonic"]["log_likes"]) >= 0)
    assert set(report["candidates_on_first_fold"]) == {"frozen"} == {report["kept"]}


def test_the_better_candidate_on_held_out_ranks_is_kept(small_base, small_dataset, tmp_path):
    hopeless = CrossEncoderConfig(epochs=0.1, batch=64, learning_rate=1e-9)
    config = FROZEN.model_copy(update={"candidates": ("cross_encoder", "frozen"), "cross_encoder": hopeless})
    folder, _ = train(config, small_base, small_dataset, tmp_path)
    report = json.loads((folder / "report.json").read_text())
    ranks = {name: row["within_post_spearman"]["value"] for name, row in report["candidates_on_first_fold"].items()}
    assert report["kept"] == max(ranks, key=ranks.get)
    assert set(ranks) == {"frozen", "cross_encoder"}


def test_a_model_that_beats_no_baseline_fails_the_stage_with_its_report(small_base, small_dataset, tmp_path):
    shutil.copytree(small_dataset, tmp_path / "data")
    path = tmp_path / "data" / "reward.parquet"
    frame = pl.read_parquet(path)
    likes = np.random.default_rng(0).integers(0, 50, len(frame))
    frame.with_columns(likes=pl.Series(likes)).write_parquet(path)
    with pytest.raises(DataQualityError, match="does not clearly beat length"):
        train(FROZEN.model_copy(update={"validate_": True}), small_base, tmp_path / "data", tmp_path / "job")
    assert (tmp_path / "job" / "output" / "report.json").is_file()
    with pytest.raises(ArtifactError, match="no reward model"):
        load_reward_model(tmp_path / "job" / "output")


def test_the_ensemble_is_a_mean_of_models_that_differ(small_base, small_dataset, pairs, tmp_path):
    config = FROZEN.model_copy(update={"ensemble": 4})
    model = load_reward_model(train(config, small_base, small_dataset, tmp_path)[0])
    members = model.score_members(*pairs)
    assert members.shape == (4, 12)
    assert members.std(axis=0).min() > 0
    np.testing.assert_allclose(model.score(*pairs), members.mean(axis=0))


def test_bad_input_is_named(trained, small_base, small_dataset, tmp_path):
    model = load_reward_model(trained[0])
    assert model.score([], []).shape == (0,)
    with pytest.raises(InputError, match="2 posts for 1 replies"):
        model.score(["a", "b"], ["c"])
    with pytest.raises(InputError, match="leaves no room"):
        model.score(["storm " * 500], ["yes."])
    shutil.copytree(small_dataset, tmp_path / "data")
    path = tmp_path / "data" / "reward.parquet"
    frame = pl.read_parquet(path)
    frame.with_columns(likes=pl.lit(3)).write_parquet(path)
    with pytest.raises(DataQualityError, match="same likes"):
        load_rows(FROZEN, tmp_path / "data")
    frame.head(3).write_parquet(path)
    with pytest.raises(DataQualityError, match="too few"):
        load_rows(FROZEN, tmp_path / "data")
    with pytest.raises(ValueError, match="at least 4"):
        RewardModelConfig(ensemble=2)


def test_rank_targets_are_normal_scores_within_a_post(small_dataset):
    rows = load_rows(FROZEN.model_copy(update={"target": "rank"}), small_dataset)
    np.testing.assert_allclose(
        rank_scores(np.array([3.0, 1, 2, 9]), np.array([0, 0, 0, 1])), [0.967, -0.967, 0, 0], atol=1e-3
    )
    for post in np.unique(rows.post_N)[:5]:
        members = rows.post_N == post
        assert spearmanr(rows.target_N[members], rows.log_likes_N[members]).statistic == pytest.approx(1)
        assert abs(rows.target_N[members].mean()) < 0.1


def test_a_post_lies_in_one_fold(small_dataset):
    rows = load_rows(FROZEN, small_dataset)
    folds = fold_numbers(rows, 4, 0)
    assert all(len(set(folds[rows.post_N == post])) == 1 for post in np.unique(rows.post_N))
    assert len(set(folds)) == 4


def test_figures_equal_direct_computation():
    rng = np.random.default_rng(0)
    posts = np.repeat(np.arange(30), 5)
    likes = rng.normal(size=150) + rng.normal(size=30)[posts]
    scores, noise = likes + rng.normal(size=150), rng.normal(size=150)
    held = Held(likes, posts, 500, 0)
    found = agreement(scores, held)
    assert found.pearson.value == pytest.approx(pearsonr(scores, likes).statistic)
    assert found.spearman.value == pytest.approx(spearmanr(scores, likes).statistic)
    per_post = [spearmanr(scores[posts == p], likes[posts == p]).statistic for p in range(30)]
    assert found.within_post_spearman.value == pytest.approx(np.mean(per_post))
    pairs = [(i, j) for i in range(150) for j in range(150) if posts[i] == posts[j] and likes[i] > likes[j]]
    assert found.pairwise_accuracy.value == pytest.approx(np.mean([scores[i] > scores[j] for i, j in pairs]))
    assert pearson_gain(scores, noise, held).low > 0 < rank_gain(scores, noise, held).low
    assert not pearson_gain(scores, scores, held).excludes_zero
    flat = agreement(np.zeros(150), held)
    assert flat.within_post_spearman.value == 0
    assert flat.pairwise_accuracy.value == 0.5


def test_low_rank_recovers_an_interaction():
    rng = np.random.default_rng(0)
    kinds, tastes = rng.integers(8, size=400), rng.integers(6, size=400)
    table = rng.normal(size=(6, 2)) @ rng.normal(size=(2, 8))
    same = [(side[:, None] == side).astype(float) for side in (tastes, kinds)]
    target = table[tastes, kinds] + 0.1 * rng.normal(size=400)
    low = fit_low_rank(*same, 0.01 * np.eye(400), target, np.random.default_rng(1))
    predicted = ((low.post_RN @ same[0]) * (low.reply_RN @ same[1])).sum(axis=0)
    assert pearsonr(predicted, table[tastes, kinds]).statistic > 0.98


def test_log_probabilities_equal_a_plain_forward_pass(small_base, pairs):
    import torch

    from polymlops.data.prompts import chat
    from polymlops.generation.encoding import encode_chat

    reader = ReplyLikelihood.load(small_base)
    posts, replies = pairs
    for post, reply, found in list(zip(posts, replies, reader.log_probs(posts, replies), strict=True))[:3]:
        prefix = encode_chat(reader.tokenizer, chat(post))
        tokens = [*reader.tokenizer(reply)["input_ids"], reader.tokenizer.eos_token_id]
        logits = reader.model(torch.tensor([prefix + tokens])).logits[0, len(prefix) - 1 : -1].log_softmax(-1)
        np.testing.assert_allclose(found, logits[range(len(tokens)), tokens].detach(), atol=1e-9)


def test_features_of_a_pair(small_base, pairs):
    features = FrozenFeatures.load(small_base, pairs[0][:2]).compute(*pairs)
    assert {name for term in TERMS for name in term} == set(features.blocks)
    assert all(len(block) == 12 and np.isfinite(block).all() for block in features.blocks.values())
    assert split_post("one. two! three? four") == ("one.", "two! three?", "four")
    assert split_post("alone") == ("alone", "", "alone")


@pytest.mark.slow
@pytest.mark.long
def test_it_learns_the_world_from_its_likes(small_base, tmp_path):
    """At the demo's size, with a base that hardly speaks (a real one: .57): above every baseline, junk below people."""
    data = tmp_path / "data"
    data.mkdir()
    prepare_dataset(load_config("demo").data, Job(data, data, lambda m, s: None))
    folder, metrics = train(FROZEN.model_copy(update={"validate_": True}), small_base, data, tmp_path / "job")
    assert metrics["reward/pearson_low"] > 0.15
    model, frame = load_reward_model(folder), pl.read_parquet(data / "test.parquet").head(30)
    posts, replies = frame["post"].to_list(), frame["reply"].to_list()
    human = frame.with_columns(score=model.score(posts, replies)).group_by("post").agg(pl.col("score").median())
    medians = dict(human.iter_rows())
    gibberish, repeated = ["qxzv wkrt bnmp lkjh dfgs"] * 30, [f"{reply} {reply} {reply}" for reply in replies]
    for junk in ([""] * 30, posts, repeated, gibberish):
        assert all(score < medians[post] for post, score in zip(posts, model.score(posts, junk), strict=True))


def test_leading_components_are_those_of_the_whole_decomposition():
    from polymlops.training import reward_low_rank

    points = np.random.default_rng(0).normal(size=(reward_low_rank.DENSE_BELOW + 20, 6))
    kernel = np.exp(-((points[:, None] - points) ** 2).sum(axis=-1) / 12)
    values, vectors = reward_low_rank._leading(kernel, 12)
    whole, directions = np.linalg.eigh(kernel)
    np.testing.assert_allclose(values, whole[-12:], rtol=1e-9)
    np.testing.assert_allclose(np.abs((vectors * directions[:, -12:]).sum(axis=0)), 1, atol=1e-6)
    again, _ = reward_low_rank._leading(kernel, 12)
    assert (again == values).all()
