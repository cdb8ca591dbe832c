import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polymlops.errors import DataQualityError
from polymlops.training.reward_data import RewardRows
from polymlops.training.reward_pairs import covariate_values, fit_pair_model, shape_features

UNTIMED = settings(deadline=None)

WORDS = ("tea", "pot", "cup", "leaf", "steam", "brew", "pour", "sip")


def rows_of(posts, effect_of_age, seed=0):
    """Four replies a post; likes grow with length and, by `effect_of_age`, fall with age, which short replies lack."""
    rng = np.random.default_rng(seed)
    replies, likes, ages = [], [], []
    for _ in range(posts * 4):
        length = int(rng.integers(3, 60))
        age = rng.normal() + length / 20
        replies.append(" ".join(rng.choice(WORDS, length)))
        ages.append(age)
        likes.append(length / 20 - effect_of_age * age + 0.3 * rng.normal())
    post_N = np.repeat(np.arange(posts), 4)
    texts = tuple(f"how is tea number {post}?" for post in post_N)
    authors_N = rng.integers(posts, size=posts * 4)
    values_N = np.array(likes)
    return RewardRows(texts, tuple(replies), post_N, authors_N, values_N, values_N, np.array(ages))


def right_share(scores_N, values_N):
    pairs = [(i, j) for i in range(len(scores_N)) for j in range(i + 1, len(scores_N)) if i // 4 == j // 4]
    return np.mean([(scores_N[i] > scores_N[j]) == (values_N[i] > values_N[j]) for i, j in pairs])


def test_what_people_like_is_found_and_holds_on_other_posts():
    train, held = rows_of(150, 0), rows_of(150, 0, seed=1)
    model = fit_pair_model(train, (), 1, 0)
    assert right_share(model.predict(held.posts, held.replies)[0], held.log_likes_N) > 0.8


def test_age_as_a_covariate_gives_the_text_its_due():
    # Long replies come late, and lateness costs more than length brings: without the covariate length looks bad.
    train = rows_of(200, 2.0)
    length_N = np.array([len(reply) for reply in train.replies], dtype=float)
    blind = fit_pair_model(train, (), 1, 0).predict(train.posts, train.replies)[0]
    fair = fit_pair_model(train, ("age",), 1, 0).predict(train.posts, train.replies)[0]
    assert right_share(blind, length_N) < 0.3
    assert right_share(fair, length_N) > 0.8


def test_an_authors_own_reply_is_no_witness_of_itself():
    rows = rows_of(3, 0)
    changed = np.where(np.arange(12) == 5, 99.0, rows.target_N)
    lonely = RewardRows(rows.posts, rows.replies, rows.post_N, np.arange(12), rows.log_likes_N, changed)
    assert np.allclose(covariate_values(lonely, ("author",)), 0)
    assert covariate_values(rows, ("age", "author")).shape == (12, 2)
    assert covariate_values(lonely, ("age",)).shape == (12, 0)


def test_what_a_post_brings_to_all_replies_changes_nothing():
    rows = rows_of(40, 0)
    shift_N = np.random.default_rng(3).normal(size=40)[rows.post_N] * 100
    shifted = RewardRows(
        rows.posts, rows.replies, rows.post_N, rows.author_N, rows.log_likes_N, rows.target_N + shift_N
    )
    plain = fit_pair_model(rows, (), 1, 0)
    assert np.array_equal(plain.weights_MF, fit_pair_model(shifted, (), 1, 0).weights_MF)


def test_members_are_resamples_and_a_seed_gives_the_same():
    rows = rows_of(40, 0)
    model = fit_pair_model(rows, (), 4, 7)
    assert len(np.unique(model.weights_MF, axis=0)) == 4
    assert np.array_equal(model.weights_MF, fit_pair_model(rows, (), 4, 7).weights_MF)


def test_one_pair_is_enough_and_none_is_refused():
    rows = rows_of(1, 0).take(np.array([0, 1]))
    assert np.isfinite(fit_pair_model(rows, (), 1, 0).weights_MF).all()
    with pytest.raises(DataQualityError, match="nothing to compare"):
        fit_pair_model(rows.take(np.array([0])), (), 1, 0)


@UNTIMED
@given(st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_any_text_has_finite_features_of_its_own(pairs):
    posts, replies = [post for post, _ in pairs], [reply for _, reply in pairs]
    shapes_KF = shape_features(posts, replies)
    assert np.isfinite(shapes_KF).all()
    for place, pair in enumerate(pairs):
        assert np.array_equal(shapes_KF[place : place + 1], shape_features(*([text] for text in pair)))
