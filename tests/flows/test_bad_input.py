"""What people really give: each fault ends as exit 2 with its remedy, or as a counted row, at the command line."""

import json
import os
import shutil

import pytest
import torch
from click.testing import CliRunner

from flows.cli import main

CODE = ("--domain", "code", "--n", "2", "--prompts", "2", "--max-new-tokens", "8", "--resamples", "100")
MEGABYTES = 50


@pytest.fixture(autouse=True)
def own_environment():
    """What the commands set must not outlive the test."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def command(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_rows_of_every_kind_in_one_csv_are_counted_and_the_rest_is_taken(tmp_path):
    """BOM, CRLF, mixed encodings, ragged records, a huge cell, odd counts, a reply that is its post."""
    post = "what is the best thing about a day of rain in may?"
    good = [f"{post},the best thing about it is surely number {i},{i}" for i in range(6)]
    thousand = f"{post},this one is liked by very many people indeed,1.2K"
    odd = [f"{post},a reply that nobody can have liked so often,{likes}" for likes in ("-1", "NaN", "many")]
    lines = [line.encode() for line in (*good, thousand, *odd, f"{post},{post},3", f"{post},too few cells")]
    lines += [f"{post},the caf\xe9 is open and the tea is hot today,4".encode("latin-1")]
    lines += [f"{post},".encode() + b"x" * MEGABYTES * 2**20 + b",5"]
    path = tmp_path / "export.csv"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join([b"post,reply,likes", *lines, b""]))
    done = command("ingest", path, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["rows_in"] == len(lines)
    assert found["rows_kept"] == len(good) + 2  # with the thousand likes, and the line in another encoding
    counts = found["drops"]["counts"]
    assert sum(counts.values()) == len(lines) - found["rows_kept"]
    assert counts["ragged"] == counts["huge_row"] == counts["echo_of_post"] == 1
    assert found["columns"]["export.csv"] == {"post": "post", "reply": "reply", "likes": "likes"}


def test_a_broken_last_line_costs_one_row(tmp_path):
    row = {"post": "which tea is best on a cold day?", "reply": "a strong black one with milk, always", "likes": 3}
    path = tmp_path / "cut.jsonl"
    path.write_text(json.dumps(row) + "\n" + json.dumps(row)[:40])
    done = command("ingest", path, "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["rows_in"], found["rows_kept"]) == (0, 2, 1)
    assert found["drops"]["counts"] == {"broken_json": 1}


def test_nothing_but_faults_is_the_requests_fault(tmp_path):
    path = tmp_path / "cut.jsonl"
    path.write_text('{"post": "a", "reply"')
    done = command("ingest", path)
    assert done.exit_code == 2
    assert "broken_json" in done.output


def missing_shard(folder):
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="60KB")
    sorted(folder.glob("*.safetensors"))[1].unlink()


def cut_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def pickled_weights(folder):
    from safetensors.torch import load_file

    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def no_end_token(folder):
    for name, keys in (
        ("tokenizer_config.json", ("eos_token",)),
        ("generation_config.json", ("eos_token_id",)),
        ("config.json", ("eos_token_id",)),
    ):
        path = folder / name
        about = {key: value for key, value in json.loads(path.read_text()).items() if key not in keys}
        path.write_text(json.dumps(about | ({"eos_token_id": None} if name == "config.json" else {})))
    path = folder / "special_tokens_map.json"
    if path.exists():
        about = json.loads(path.read_text())
        path.write_text(json.dumps({key: value for key, value in about.items() if key != "eos_token"}))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (missing_shard, "fetch it again"),
        (cut_weights, "cut off or damaged"),
        (pickled_weights, "base_model.allow_pickle=true"),
        (no_end_token, "no end token"),
    ],
)
def test_a_model_that_cannot_be_used_is_refused(llama_folder, tmp_path, spoil, message):
    folder = shutil.copytree(llama_folder, tmp_path / "model")
    spoil(folder)
    done = command("evaluate", "--model", folder, *CODE, "--out", tmp_path / "out")
    assert (done.exit_code, message in done.stderr) == (2, True), done.output
    assert not (tmp_path / "out" / "samples").exists()


@pytest.mark.slow
def test_pickled_weights_are_taken_where_they_are_allowed_by_name(llama_folder, tmp_path):
    folder = shutil.copytree(llama_folder, tmp_path / "model")
    pickled_weights(folder)
    allowed = ("--set", "base_model.allow_pickle=true", "--format", "base")
    done = command("evaluate", "--model", folder, *CODE, *allowed, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    assert "pass_at_1" in done.stdout
