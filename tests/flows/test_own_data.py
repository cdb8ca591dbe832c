"""The README's section on your own data: its commands, on a small file, print what they promise."""

import json

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from readme import readme_commands, with_places

from flows.cli import main
from flows.own_data import OwnDataRequest, verdict_lines
from polymlops.errors import UsageError

pytestmark = pytest.mark.slow
SMALL = (
    "base_model={vocabulary: 600, hidden: 32, layers: 2, heads: 2, context: 448, steps: 40, batch: 4,"
    " learning_rate: 0.01}",
    "lora={r: 4}",
    "sft={epochs: 1, learning_rate: 0.003, checkpoint_every: 5, log_every: 5}",
    "polychromic={samples: 4, every: 4}",
    "reward_model={target: rank, candidates: [pairs], folds: 2, references: 1, resamples: 200, validate: false}",
    "grpo={samples: 4, prompts: 4, micro_batch: 16, steps: 2, max_new_tokens: 24, checkpoint_every: 2, log_every: 2}",
    "sampling={n: 4, prompts: 6, shard_prompts: 3, max_new_tokens: 16}",
    "evaluation={ks: [1, 2], dynamics_frequency: 10, dynamics_prompts: 4, dynamics_samples: 4, resamples: 200}",
)


def talk(posts=120, reply="reply", likes=lambda count: count):
    """Four replies a post; the longer, the better liked."""
    rng = np.random.default_rng(0)
    dishes, verbs = ("bread", "soup", "rice", "pie", "cake"), ("keep", "bake", "warm", "serve", "share")
    rows = []
    for number in range(posts * 4):
        post, place = divmod(number, 4)
        count = int(rng.integers(1, 6))
        text = " ".join(f"we always {rng.choice(verbs)} the {rng.choice(dishes)} at home." for _ in range(count))
        row = {"post": f"how do you {verbs[post % 5]} a {dishes[post % 3]} number {post}?", reply: text}
        rows.append(row | {"likes": likes(count), "author": f"a{number}", "created": f"2024-01-0{place + 1}"})
    return rows


def write(path, rows):
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def files(tmp_path):
    write(tmp_path / "replies.jsonl", talk())
    write(tmp_path / "exports" / "one.jsonl", talk(5, "answer_text", lambda count: {"ups": f"{count}.5K"}))
    frame = pl.DataFrame(talk(5, "answer_text")).rename({"likes": "stats.ups"})
    frame.with_columns(post=pl.col("post") + " again").write_csv(tmp_path / "exports" / "two.csv")
    rows = (tmp_path / "exports" / "one.jsonl").read_text().replace('"likes"', '"stats"')
    (tmp_path / "exports" / "one.jsonl").write_text(rows)
    return tmp_path


@pytest.mark.long
def test_the_readmes_commands_do_what_it_says(files, shell):
    places = {name: str(files / name) for name in ("replies.jsonl", "exports/")}
    check, exports, reward, run = (with_places(command, places) for command in readme_commands("Your data"))
    code, done = shell.run(*check)
    assert (code, done.out.splitlines()[0]) == (0, "480 of 480 rows are usable"), done.err
    code, done = shell.run(*exports, "--json")
    assert code == 0, done.err
    account = json.loads(done.out)
    assert (account["rows_in"], account["rows_kept"]) == (40, 40)
    assert account["columns"]["one.jsonl"]["likes"] == account["columns"]["two.csv"]["likes"] == "stats.ups"
    small = [word for pair in SMALL for word in ("--set", pair)]
    code, done = shell.run(*reward, *small)
    assert code == 0, done.err
    lines = done.out.splitlines()
    assert any(line.startswith("pairs") for line in lines)
    assert any("above length" in line for line in lines)
    code, done = shell.run(*run, *small, "--json")
    assert code == 0, done.err
    table = json.loads(done.out)["depth"]["table"]
    assert {"quality", "usq_logprob_at_4"} <= {row["metric"] for row in table}
    assert not {name for row in table if "intents" in (name := row["metric"]) or "usq_reward" in name}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.jsonl"], "no such file or folder"),
        (["bad.jsonl"], "none of 2 rows is usable: 2 not_a_count"),
        (["bad.jsonl", "--map", "reply"], "--map reply: expected OURS=COLUMN"),
        (["bad.jsonl", "--map", "reply=nope"], "no column 'nope' for reply; there are post, reply, likes"),
        (["bad.jsonl", "--map", "colour=reply"], "data.source.file.columns.colour: unknown key"),
    ],
)
def test_what_cannot_be_read_is_the_requests_fault(tmp_path, words, message):
    write(tmp_path / "in" / "bad.jsonl", talk(1, likes=lambda count: "=A1")[:2])
    result = CliRunner().invoke(main, ["ingest", str(tmp_path / "in" / words[0]), *words[1:]])
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_map_that_is_none_is_refused():
    with pytest.raises(UsageError, match="expected OURS=COLUMN"):
        OwnDataRequest("a.csv", ("=x",)).config()
    config = OwnDataRequest("a b.csv", ("likes=up votes",), overrides=("data.min_characters=5",)).config()
    assert (str(config.data.source.path), config.data.source.columns.likes) == ("a b.csv", "up votes")
    assert config.data.min_characters == 5


def test_what_is_not_beaten_is_said_plainly():
    figure = {"value": 0.6, "low": 0.55, "high": 0.65}
    agreement = dict.fromkeys(("pairwise_accuracy", "pearson", "within_post_spearman"), figure)
    gains = {
        name: {"pairwise_accuracy": {"value": 0.01, "low": low, "high": 0.03}}
        for name, low in (("length", -0.01), ("author_mean", 0.001))
    }
    report = {"rows": 9, "posts": 3, "kept": "pairs", "model": agreement, "baselines": {"length": agreement}}
    lines = verdict_lines(report | {"gains": gains, "earliest_reply_first": agreement})
    assert "pairs in the right order: NOT above length, +0.010 [-0.010, +0.030]" in lines
    assert "pairs in the right order: above author_mean, +0.010 [+0.001, +0.030]" in lines
    assert sum("0.600 [0.550, 0.650]" in line for line in lines) == 3
