"""`score` and `compare` end to end: what they print, write and track, and how they refuse."""

import json
import os
import sqlite3
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from flows.cli import main

WORDS = ["the", "a", "cat", "dog", "sat", "on", "mat", "in", "rain", "blue", "red", "ran", "fast", "and", "or", "not"]
FIGURES = {"pass_at_k", "usq_reward_at_k", "pareto_frontier"}
TABLES = {
    "table.parquet",
    "table.csv",
    "table.json",
    "table.tex",
    "summary.json",
    "scores.parquet",
    "diversity.parquet",
}


@pytest.fixture(autouse=True)
def own_environment():
    """What the commands set for MLflow and Prefect must not outlive the test."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def candidates(arm, lift, seeds=(1,), prompts=12, n=6):
    rng = np.random.default_rng(0)
    rows = []
    for seed in seeds:
        for p in range(prompts):
            quality = np.clip(p / prompts + lift + rng.normal(0, 0.2, n), 0, 1)
            for q in quality.tolist():
                text = " ".join(rng.choice(WORDS, 10).tolist())
                known = {"passed": q > 0.5, "quality": q, "selector_reward": q + float(rng.normal(0, 0.1))}
                rows.append({"prompt_id": f"p{p:02}", "text": text, "arm": arm, "seed": seed, "note": "x"} | known)
    return rows


def write(path: Path, rows) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def files(tmp_path):
    arms = {"plain": candidates("plain", 0.0), "poly": candidates("poly", 0.25)}
    return [write(tmp_path / f"{name}.jsonl", rows) for name, rows in arms.items()]


def call(*arguments, code=0):
    done = CliRunner().invoke(main, [*arguments, "--resamples", "500"])
    assert done.exit_code == code, done.stderr or done.exception
    return done


def test_score_prints_a_table_an_arm_and_says_what_it_left_out(files):
    done = call("score", *files)
    for name in (
        "plain",
        "poly",
        "pass_at_6",
        "usq_reward_at_5",
        "efficiency_reward_at_2",
        "self_bleu",
        "collapse_point",
    ):
        assert name in done.stdout
    assert "can lie between 0.500 and 1.000" in done.stdout
    assert "columns ignored: note" in done.stdout
    assert "with one seed, intervals speak of new prompts, not of another training run" in done.stdout
    assert done.stderr == ""


def test_score_as_json_is_the_table_and_the_same_for_a_seed(files):
    first, again, other = [call("score", *files, "--json", "--seed", seed).stdout for seed in ("1", "1", "2")]
    found = json.loads(first)
    assert first == again != other
    assert found["settings"]["ks"] == [1, 2, 5, 6]
    rows = {(row["arm"], row["metric"]): row for row in found["rows"]}
    values = [row["quality"] for row in candidates("poly", 0.25)]
    assert rows["poly", "quality"]["value"] == pytest.approx(np.mean(values))
    assert rows["poly", "pass_at_1"]["n"] == 12
    assert rows["poly", "pass_at_1"]["low"] < rows["poly", "pass_at_1"]["value"] < rows["poly", "pass_at_1"]["high"]
    assert rows["poly", "der_at_5"]["bound_low"] == pytest.approx(0.2)


def test_ks_that_are_asked_for_are_the_ones_shown(files):
    found = json.loads(call("score", files[0], "--json", "--k", "3,1", "--k", "9", "--pass-hat").stdout)
    names = [row["metric"] for row in found["rows"] if row["metric"].startswith("pass")]
    assert names == ["pass_at_1", "pass_at_3", "pass_at_9", "pass_hat_at_3", "pass_hat_at_9"]
    nine = next(row for row in found["rows"] if row["metric"] == "pass_at_9")
    assert (nine["value"], nine["n"], nine["undefined"]) == (None, 0, 12)
    assert nine["note"] == "12 of 12 prompts not counted: it needs 9 candidates"
    call("score", files[0], "--k", "0", code=2)
    call("score", files[0], "--k", "two", code=2)


def test_an_encoder_adds_diversity_of_meaning(files, tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate([*WORDS, "[UNK]"])}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    vectors = np.random.default_rng(0).normal(size=(len(WORDS) + 1, 8)).astype(np.float32)
    static = StaticEmbedding(tokenizer, embedding_weights=vectors)
    SentenceTransformer(modules=[static], device="cpu").save(str(tmp_path / "encoder"))
    found = json.loads(call("score", files[0], "--json", "--encoder", str(tmp_path / "encoder")).stdout)
    rows = {row["metric"]: row for row in found["rows"]}
    assert 0 < rows["semantic_diversity"]["value"] < 1
    assert 1 < rows["vendi"]["value"] <= 6


def test_out_holds_tables_scores_and_figures(files, tmp_path):
    out = tmp_path / "out"
    found = json.loads(call("score", *files, "--json", "--out", str(out)).stdout)
    assert {path.name for path in out.iterdir()} == TABLES | {
        f"{name}.{end}" for name in FIGURES for end in ("pdf", "png")
    }
    table = pl.read_parquet(out / "table.parquet")
    assert table["metric"].to_list() == [row["metric"] for row in found["rows"]]
    assert table["value"].to_list() == pl.read_csv(out / "table.csv")["value"].to_list()
    assert r"pass\_at\_1 & " in (out / "table.tex").read_text()
    scores = pl.read_parquet(out / "scores.parquet")
    assert (len(scores), "text" in scores.columns) == (2 * 12 * 6, False)
    assert len(pl.read_parquet(out / "diversity.parquet")) == 2 * 12


@pytest.fixture
def store(tmp_path):
    return ["--set", f"tracking.uri=sqlite:///{tmp_path / 'ml.db'}", "--set", f"output_dir={tmp_path / 'runs'}"]


def test_a_tracked_score_can_be_compared_by_its_run(files, tmp_path, store):
    scored = json.loads(call("score", *files, "--json", "--track", "--domain", "mine", *store).stdout)
    database = sqlite3.connect(tmp_path / "ml.db")
    logged = dict(
        database.execute("select key, value from latest_metrics join runs using (run_uuid) where name = 'poly'")
    )
    params = dict(database.execute("select key, value from params where run_uuid = ?", [scored["run_id"]]))
    database.close()
    rows = {row["metric"]: row for row in scored["rows"] if row["arm"] == "poly"}
    assert logged["mine/pass_at_5"] == pytest.approx(rows["pass_at_5"]["value"])
    assert logged["mine/usq_reward_at_5_low"] == pytest.approx(rows["usq_reward_at_5"]["low"])
    assert params["resamples"] == "500"
    assert params["tokenizer"] == "whitespace"
    assert (params["file.1.name"], len(params["file.1.sha256"])) == ("poly.jsonl", 64)
    by_run, by_file = (
        json.loads(call("compare", *given, "--json", *store).stdout) for given in ([scored["run_id"]], files)
    )
    assert by_run["differences"] == by_file["differences"]
    missing = call("compare", files[0], "f" * 32, *store, code=2)
    assert missing.stderr.startswith(f"error: {'f' * 32}: neither a file nor a run of this tracking store")


def test_compare_prints_differences_with_sentences(files, tmp_path):
    out = tmp_path / "out"
    done = call("compare", *files, "--k", "5", "--metric", "quality", "--metric", "usq_reward_at_5", "--out", str(out))
    assert "poly minus plain" in done.stdout
    assert "poly is better than plain on quality: +0." in done.stdout
    assert "Holm-corrected p = " in done.stdout
    assert "over 2 tests; for these training runs, not for new ones." in done.stdout
    assert "one seed of plain, poly: no claim about the training method" in done.stdout
    assert {path.name for path in out.iterdir()} == {f"comparisons.{e}" for e in ("parquet", "csv", "json")} | {
        "summary.json"
    }


def test_compare_as_json_with_seeds_and_another_reference(tmp_path):
    rows = candidates("plain", 0.0, seeds=(1, 2, 3)) + candidates("poly", 0.3, seeds=(1, 2, 3))
    file = write(tmp_path / "both.jsonl", rows)
    done = [call("compare", file, "--json", "--reference", "poly", "--metric", "pass_at_1").stdout for _ in range(2)]
    assert done[0] == done[1]
    (found,) = json.loads(done[0])["differences"]
    assert (found["arm"], found["reference"], found["seeds"], found["n"]) == ("plain", "poly", 3, 12)
    ours, theirs = (np.mean([row["passed"] for row in rows if row["arm"] == arm]) for arm in ("plain", "poly"))
    assert found["difference"] == pytest.approx(ours - theirs)
    assert found["claim"] is True


def test_compare_refuses_what_does_not_compare(files, tmp_path):
    short = write(tmp_path / "short.jsonl", [row | {"arm": "short"} for row in candidates("x", 0.0)[:-8]])
    done = call("compare", files[0], short, code=2)
    assert done.stderr.splitlines() == [
        "error: arms short and plain cannot be compared: 1 prompt only in plain: p11; give both the same",
        "error: arms short and plain cannot be compared: 1 prompt with other numbers of candidates: p10 (4 and 6); "
        "draw as many for both",
    ]
    assert done.stdout == ""


BAD = {
    "one arm": (["{0}"], "only one arm, plain: a comparison needs two"),
    "twice": (["{0}", "{0}"], "given twice"),
    "no such arm": (["{0}", "{1}", "--reference", "x"], "--reference x: no such arm; there are plain, poly"),
    "no such metric": (["{0}", "{1}", "--metric", "x"], "--metric x: not shared by all arms; there are pass_at_1"),
    "no such file": (["{0}", "none.jsonl"], "none.jsonl: no such file"),
    "no store": (["{0}", "0" * 32, "--set", "output_dir=/nowhere"], "no such file, and no tracking store at sqlite:"),
    "no such key": (["{0}", "0" * 32, "--set", "x=1"], "x: unknown key"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_bad_comparisons_are_exit_2(files, arguments, message):
    done = call("compare", *(argument.format(*files) for argument in arguments), code=2)
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_bad_input_to_score_is_exit_2_and_leaves_nothing(files, tmp_path):
    bad = write(tmp_path / "bad.jsonl", [{"task_id": "a", "completion": "b", "passed": "true"}])
    done = call("score", files[0], bad, code=2)
    assert done.stderr == f'error: {bad}:1: passed is "true", a string: write true or false, without quotes\n'
    assert done.stdout == ""
    assert "no such folder" in call("score", files[0], "--encoder", str(tmp_path / "none"), code=2).stderr
    assert "cannot be written (Not a directory)" in call("score", files[0], "--out", f"{bad}/out", code=2).stderr
    call("score", code=2)
