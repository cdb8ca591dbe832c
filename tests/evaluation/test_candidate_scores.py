"""Metrics of candidates by seed and prompt, against values worked out by hand and by enumeration of all subsets."""

import json
import math
from itertools import combinations

import numpy as np
import polars as pl
import pytest

from polymlops.errors import InputError
from polymlops.evaluation.candidate_diversity import common_bigrams
from polymlops.evaluation.candidate_groups import candidate_groups
from polymlops.evaluation.candidate_scores import ScoreSettings, answered_by, default_ks, largest_n, score_groups
from polymlops.evaluation.candidate_sources import Source, merge_sources, only_arm, read_scored_folders
from polymlops.evaluation.candidates import read_candidates
from polymlops.metrics.lexical import distinct_n, rarefied_distinct_n, self_bleu
from polymlops.metrics.tokens import whitespace


@pytest.fixture
def read(tmp_path):
    def reader(rows, name="a", **options):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return read_candidates([path], **options)

    return reader


def rows_of(prompt, columns, **fixed):
    """Candidates of a prompt from columns of equal length."""
    return [
        {"prompt_id": prompt, "text": f"text {i}", **fixed} | dict(zip(columns, values, strict=True))
        for i, values in enumerate(zip(*columns.values(), strict=True))
    ]


def measured(candidates, ks=(1, 2, 3), **settings):
    return score_groups(candidate_groups(candidates), ScoreSettings(ks, **settings))


def test_values_by_hand(read):
    rows = rows_of("p", {"passed": [True, False, False], "quality": [0.9, 0.1, 0.2], "selector_a": [1, 2, 3]})
    rows += rows_of("q", {"passed": [True, True, False], "quality": [0.5, 0.7, 0.0], "selector_a": [0, 0, 0]})
    (arm,) = measured(read(rows), pass_hat=True)
    values = {name: row[0] for name, row in arm.values_SP.items()}
    assert arm.prompts == ("p", "q")
    np.testing.assert_allclose(values["pass_at_1"], [1 / 3, 2 / 3])
    np.testing.assert_allclose(values["pass_at_2"], [2 / 3, 1])
    np.testing.assert_allclose(values["pass_hat_at_2"], [0, 1 / 3])
    np.testing.assert_allclose(values["quality"], [0.4, 0.4])
    np.testing.assert_allclose(values["max_at_2"], [(0.9 + 0.9 + 0.2) / 3, (0.7 + 0.5 + 0.7) / 3])
    # The selector takes the last of the first prompt, which is right in one pair of three, and guesses in the second.
    np.testing.assert_allclose(values["usq_a_at_2"], [(0.1 + 0.2 + 0.2) / 3, 0.4])
    np.testing.assert_allclose(values["usq_a_at_3"], [0.2, 0.4])
    assert math.isnan(values["correlation_a"][1])
    np.testing.assert_array_equal(arm.passes_SP, [[1, 2]])


def test_unequal_numbers_of_candidates_agree_with_enumeration(read):
    rng = np.random.default_rng(0)
    sizes = {"p": 5, "q": 2, "r": 4}
    drawn = {p: (rng.random(n), rng.integers(0, 3, n).astype(float)) for p, n in sizes.items()}
    rows = [row for p, (q, s) in drawn.items() for row in rows_of(p, {"quality": q.tolist(), "selector_x": s.tolist()})]
    (arm,) = measured(read(rows), ks=(1, 2, 4, 9))
    for k in (1, 2, 4, 9):
        expected = [picked(*drawn[p], k) for p in arm.prompts]
        np.testing.assert_allclose(arm.values_SP[f"usq_x_at_{k}"][0], expected)
        np.testing.assert_allclose(
            arm.values_SP[f"max_at_{k}"][0], [picked(drawn[p][0], drawn[p][0], k) for p in arm.prompts]
        )


def picked(quality_K, selector_K, k):
    """Mean quality, over all k-subsets, of what the selector likes best, ties at random; NaN without any."""
    found = []
    for subset in combinations(range(len(quality_K)), k):
        best = max(selector_K[i] for i in subset)
        found.append(np.mean([quality_K[i] for i in subset if selector_K[i] == best]))
    return np.mean(found) if found else math.nan


def test_without_quality_the_selector_is_judged_by_passes(read):
    (arm,) = measured(read(rows_of("p", {"passed": [True, False], "selector_a": [1, 0]})), ks=(2,))
    assert arm.judged_by == "passed"
    assert arm.values_SP["usq_a_at_2"][0] == [1.0]
    assert not {"quality", "max_at_2"} & set(arm.values_SP)


def test_what_the_columns_do_not_allow_is_left_out(read):
    (arm,) = measured(read(rows_of("p", {"selector_a": [1, 0]})))
    assert set(arm.values_SP) == set(arm.diversity)
    assert (arm.passes_SP, arm.judged_by, arm.selectors) == (None, "", ())


def test_diversity_is_that_of_the_candidates_of_each_prompt(read):
    texts = {"p": ["a b c d", "a b c e", "a b c d"], "q": ["one two three four five", "six", "seven eight nine ten"]}
    rows = [{"prompt_id": p, "text": text} for p, group in texts.items() for text in group]
    (arm,) = measured(read(rows), rarefied=5)
    values = {name: arm.values_SP[name][0] for name in arm.diversity}
    np.testing.assert_allclose(values["self_bleu"], [self_bleu(group) for group in texts.values()])
    np.testing.assert_allclose(values["distinct_2"], [distinct_n(group, 2) for group in texts.values()])
    np.testing.assert_allclose(
        values["rarefied_distinct_2_at_5"], [rarefied_distinct_n(g, 2, 5) for g in texts.values()]
    )
    np.testing.assert_allclose(values["duplicate_share"], [1 / 3, 0])
    np.testing.assert_allclose(values["length"], [4, 10 / 3])


def test_rarefaction_is_to_what_nearly_all_prompts_have(read):
    rows = [{"prompt_id": f"p{i:02}", "text": " ".join("abcdefgh"[: 2 if i == 0 else 8])} for i in range(30)]
    groups = candidate_groups(read(rows))
    assert common_bigrams(groups, whitespace) == 7
    (arm,) = score_groups(groups, ScoreSettings((1,)))
    assert np.isnan(arm.values_SP["rarefied_distinct_2_at_7"][0]).sum() == 1
    lone = read([{"prompt_id": "p", "text": "word"}], "b")
    assert "length" in measured(lone)[0].diversity
    assert not any(name.startswith("rarefied") for name in measured(lone)[0].diversity)


def test_meaning_is_measured_with_an_encoder_only(read):
    rows = [{"prompt_id": "p", "text": text} for text in ("x", "y")]
    directions = {"x": [1.0, 0.0], "y": [0.0, 1.0]}
    groups = candidate_groups(read(rows))
    (arm,) = score_groups(groups, ScoreSettings((1,)), lambda texts: [directions[text] for text in texts])
    assert arm.values_SP["semantic_diversity"][0] == pytest.approx([1.0])
    assert arm.values_SP["vendi"][0] == pytest.approx([2.0])
    assert "vendi" not in score_groups(groups, ScoreSettings((1,)))[0].values_SP


def test_seeds_lie_side_by_side_and_a_missing_prompt_is_undefined(read):
    rows = rows_of("p", {"passed": [True]}, seed=2) + rows_of("q", {"passed": [False]}, seed=2)
    rows += rows_of("p", {"passed": [False]}, seed=1)
    (arm,) = measured(read(rows), ks=(1,))
    assert (arm.seeds, arm.prompts) == ((1, 2), ("p", "q"))
    np.testing.assert_array_equal(arm.values_SP["pass_at_1"], [[0, math.nan], [1, 0]])
    np.testing.assert_array_equal(arm.n_SP, [[1, 0], [1, 1]])


def test_default_ks_end_at_n():
    assert default_ks(1) == (1,)
    assert default_ks(7) == (1, 2, 5, 7)
    assert default_ks(10) == (1, 2, 5, 10)
    assert default_ks(200) == (1, 2, 5, 10, 20, 50, 100, 200)


def test_largest_n_and_prompts_are_known_before_anything_is_measured(read):
    groups = candidate_groups(read(rows_of("p", {"passed": [True] * 3}) + rows_of("q", {"passed": [True]})))
    assert largest_n(groups) == 3
    (arm,) = answered_by(groups)
    assert arm.n_SP.tolist() == [[3, 1]]
    assert not arm.values_SP


def test_sources_with_the_same_arm_are_told_apart_by_their_label(read):
    rows = rows_of("p", {"passed": [True]}, arm="model")
    merged = merge_sources([Source("one", read(rows, "one")), Source("two", read(rows, "two"))])
    assert merged.candidates.arms == ("one:model", "two:model")
    with pytest.raises(InputError, match="two inputs called one have this arm; give each input once"):
        merge_sources([Source("one", read(rows, "one")), Source("one", read(rows, "two"))])


def test_sources_with_other_seeds_of_an_arm_are_one_arm(read):
    parts = [read(rows_of("p", {"passed": [True]}, arm="model", seed=seed), f"s{seed}") for seed in (1, 2)]
    merged = merge_sources([Source("s1", parts[0]), Source("s2", parts[1])])
    (arm,) = measured(merged.candidates)
    assert (arm.arm, arm.seeds) == ("model", (1, 2))


def test_seeds_of_an_arm_with_other_columns_are_refused(read):
    with_passes = read(rows_of("p", {"passed": [True]}, arm="m", seed=1), "s1")
    without = read(rows_of("p", {"quality": [0.5]}, arm="m", seed=2), "s2")
    merged = merge_sources([Source("s1", with_passes), Source("s2", without)])
    with pytest.raises(
        InputError, match=r"arm m: only one of the seeds 1 and 2 has max_at_1, .*give every seed the same"
    ):
        measured(merged.candidates)


def test_what_scoring_left_in_a_folder_is_read_without_texts(tmp_path):
    scores = pl.DataFrame({"arm": "m", "seed": 4, "prompt_id": ["p", "q"], "sample_id": 0, "passed": [True, False]})
    scores.write_parquet(tmp_path / "scores.parquet")
    pl.DataFrame({"prompt_id": ["q", "p"], "vendi": [2.0, 1.0]}).write_parquet(tmp_path / "diversity.parquet")
    source = read_scored_folders("run", [tmp_path])
    (arm,) = score_groups(candidate_groups(source.candidates), ScoreSettings((1,)), recorded=source.diversity)
    assert (arm.seeds, arm.diversity) == ((4,), ("vendi",))
    np.testing.assert_array_equal(arm.values_SP["vendi"], [[1, 2]])
    np.testing.assert_array_equal(arm.values_SP["pass_at_1"], [[1, 0]])
    with pytest.raises(InputError, match=r"run: holds no scores\.parquet"):
        read_scored_folders("run", [tmp_path / "none"])


def test_two_arms_of_one_run_are_brought_together(tmp_path):
    key = {"arm": ["m", "n"], "seed": 1, "prompt_id": "p"}
    pl.DataFrame(key | {"sample_id": 0, "passed": [True, False]}).write_parquet(tmp_path / "scores.parquet")
    pl.DataFrame(key | {"vendi": [2.0, 1.0]}).write_parquet(tmp_path / "diversity.parquet")
    whole = read_scored_folders("run", [tmp_path])
    merged = merge_sources([only_arm(whole, "n"), only_arm(whole, "m")])
    arms = score_groups(candidate_groups(merged.candidates), ScoreSettings((1,)), recorded=merged.diversity)
    assert [(arm.arm, arm.values_SP["vendi"].tolist()) for arm in arms] == [("n", [[1.0]]), ("m", [[2.0]])]
    with pytest.raises(InputError, match="run: no candidates of arm x"):
        only_arm(whole, "x")
