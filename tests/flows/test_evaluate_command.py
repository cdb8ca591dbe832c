"""`evaluate`: a model from a folder is sampled, scored and reported on each domain; faults exit 2 with a remedy."""

import json
import os
import signal

import polars as pl
import pytest
from click.testing import CliRunner
from judge_server import Act, JudgeServer, completion, fields

from flows.cli import main
from flows.evaluate_steps import Steps
from polymlops.config.base_models import FolderModelConfig
from polymlops.config.sampling import SamplingConfig
from polymlops.config.slices import SampleSpec
from polymlops.generation.sampling import sample_arm
from polymlops.training.given_base import given_model_spec, take_base_model

FEW = ("--n", "2", "--prompts", "3", "--max-new-tokens", "12", "--resamples", "100")
SMALL = ("--domain", "code", *FEW)
# As `small_dataset` is prepared.
WORLD = ("--set", "data={source: {posts: 160, replies_per_post: 4}}")


@pytest.fixture(autouse=True)
def own_environment():
    """What the commands set must not outlive the test."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def evaluate(*arguments):
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


def printed(done):
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def adapter(small_base, tmp_path):
    """A LoRA adapter of the small base that does something."""
    import torch

    from polymlops.config.profiles import load_config
    from polymlops.config.slices import adapter_spec
    from polymlops.models.loading import weights_digest
    from polymlops.training.adapter_files import save_weights
    from polymlops.training.sft import attach_lora

    torch.manual_seed(0)
    model = attach_lora(small_base, adapter_spec(load_config("demo", ["lora.r=4"]), "baseline", 1)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.3)
    folder = tmp_path / "adapter"
    save_weights(model, folder)
    (folder / "adapter.json").write_text(json.dumps({"base_weights_sha256": weights_digest(small_base)}))
    return folder


@pytest.mark.slow
def test_a_model_is_evaluated_and_its_files_lie_in_the_folder(small_base, tmp_path):
    out = tmp_path / "out"
    done = evaluate("--model", small_base, *SMALL, "--k", "1,2", "--check-suite", "--json", "--out", out)
    first = printed(done)
    assert {row["metric"] for row in first["table"]} >= {"pass_at_1", "pass_at_2", "ast_diversity"}
    assert "code_world/pass_at_1" in first["metrics"]
    assert "collapse point" in first["notes"][0]
    assert pl.read_parquet(out / "scores" / "scores.parquet").height == 6
    assert pl.read_parquet(out / "samples" / "samples.parquet").height == 6
    assert not (out / "unfinished").exists()
    again = evaluate("--model", small_base, *SMALL, "--k", "1,2", "--json", "--out", out)
    assert printed(again)["table"] == first["table"]


@pytest.mark.slow
def test_replies_are_those_of_the_phase_and_judged_by_the_truth(small_base, small_dataset, adapter, make_job, tmp_path):
    out = tmp_path / "out"
    asked = ("--model", small_base, "--adapter", adapter, "--domain", "social", *FEW, *WORLD)
    found = printed(evaluate(*asked, "--json", "--out", out))
    metrics = {row["metric"] for row in found["table"]}
    assert metrics >= {"pass_at_1", "quality", "usq_logprob_at_2", "semantic_diversity", "self_bleu", "well_formed"}
    assert all(row["low"] <= row["value"] <= row["high"] for row in found["table"] if row["value"] is not None)
    assert set(pl.read_parquet(out / "scores" / "scores.parquet")["quality_version"]) != {
        "reward-model-percentile>=0.5"
    }
    sampling = SamplingConfig(n=2, prompts=3, max_new_tokens=12)
    job = make_job("phase")
    sample_arm(SampleSpec(arm="model", seed=0, sampling=sampling), small_base, adapter, small_dataset, job)
    ours, theirs = (pl.read_parquet(folder / "samples.parquet") for folder in (out / "samples", job.output))
    assert ours.equals(theirs)
    plain = printed(evaluate(*asked[:2], *asked[4:], "--json", "--out", tmp_path / "plain"))
    assert plain["table"] != found["table"]


def register(folder, base, adapter):
    """The adapter as a registered model in a store of its own."""
    from polymlops.refs import ModelRef
    from polymlops.tracking.addresses import artifact_folder, tracking_uri
    from polymlops.tracking.artifacts import publish
    from polymlops.tracking.ledger import begin_run, end_run
    from polymlops.tracking.registry import RegistryCandidate, register_adapter
    from polymlops.tracking.stages import RunContext
    from polymlops.tracking.store import open_experiment, open_store

    uri = tracking_uri(None, folder)
    client = open_store(uri)
    experiment = open_experiment(client, "mine", artifact_folder(uri, folder))
    refs = []
    for part in (base, adapter):
        run = begin_run(client, experiment, {}, {})
        place, manifest = publish(client, run, part)
        end_run(client, run, "FINISHED")
        refs.append(ModelRef(run_id=run, uri=place, digest=manifest.digest))
    context = RunContext(tracking_uri=uri, experiment_id=experiment, parent_run_id=refs[0].run_id, output_dir=folder)
    sampling = SamplingConfig(n=2, max_new_tokens=12)
    candidate = RegistryCandidate("mine", "baseline", adapter=refs[1], base=refs[0], reward=None, sampling=sampling)
    return register_adapter(context, candidate)


@pytest.mark.slow
def test_a_registered_model_gives_what_its_base_and_adapter_give(small_base, adapter, tmp_path):
    version = register(tmp_path / "store", small_base, adapter)
    asked = ("--domain", "social", *FEW, *WORLD, "--set", f"output_dir={tmp_path / 'store'}", "--json")
    by_alias = printed(evaluate("--model", f"models:/{version.name}@candidate", *asked, "--out", tmp_path / "alias"))
    by_folder = printed(evaluate("--model", small_base, "--adapter", adapter, *asked, "--out", tmp_path / "folder"))
    assert by_alias["model"] == version.uri
    assert by_alias["table"] == by_folder["table"]
    other = evaluate("--model", f"models:/{version.name}/{version.version + 1}", *asked, "--out", tmp_path / "other")
    assert (other.exit_code, "has none" in other.stderr) == (2, True), other.output


@pytest.mark.slow
def test_replies_to_data_of_ones_own_need_a_reward_model(small_base, qwen3_folder, small_dataset, make_job, tmp_path):
    from polymlops.config.rewards import RewardModelConfig
    from polymlops.training.reward_model import train_reward_model

    rows = tmp_path / "mine.jsonl"
    frames = [pl.read_parquet(file) for file in sorted(small_dataset.glob("*.parquet")) if file.stem != "truth"]
    pl.concat([frame.select("post_id", "post", "reply_id", "reply", "likes") for frame in frames]).write_ndjson(rows)
    asked = ("--model", qwen3_folder, "--domain", "social", *FEW, "--set", f"data.source={{kind: file, path: {rows}}}")
    refused = evaluate(*asked, "--out", tmp_path / "out")
    assert refused.exit_code == 2
    assert "give --reward REF" in refused.stderr
    job = make_job("reward")
    config = RewardModelConfig(candidates=("frozen",), folds=2, references=2, resamples=100, validate=False)
    train_reward_model(config, small_base, small_dataset, job)
    found = printed(evaluate(*asked, "--reward", job.output, "--json", "--out", tmp_path / "out"))
    metrics = {row["metric"] for row in found["table"]}
    assert "quality" in metrics
    assert not any("intents" in metric for metric in metrics)
    assert any("an opinion, no truth" in note for note in found["notes"])
    assert (tmp_path / "out" / "base" / "reference.json").is_file()  # taken as it is: prepared, not copied


def sevens(seen):
    """A verdict that likes every text alike."""
    return json.dumps({"reason": ""} | dict.fromkeys(fields(seen), 7))


@pytest.mark.slow
def test_stories_are_judged_as_the_profile_says(small_base, tmp_path):
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(
        "".join(json.dumps({"prompt_id": f"p{i}", "prompt": f"a story of {i} dogs"}) + "\n" for i in range(3))
    )
    out = tmp_path / "out"
    found = printed(evaluate("--model", small_base, "--domain", "creative", *FEW, "--json", "--out", out))
    assert {row["metric"] for row in found["table"]} >= {"pass_at_1", "quality", "semantic_diversity", "perplexity"}
    own = ("--set", f"creative.source={{kind: file, path: {prompts}}}")
    asked = ("--model", small_base, "--domain", "creative", *FEW, *own, "--out", out)
    for judge, message in (("creative.judge={}", "judge: null"), ("creative.judge=null", "nobody knows the truth")):
        refused = evaluate(*asked, "--set", judge)
        assert (refused.exit_code, message in refused.stderr) == (2, True), refused.output
    with JudgeServer(lambda number, seen: Act(body=completion(sevens(seen)))) as server:
        backend = f"{{kind: endpoint, model: m, key_env: null, base_url: {server.url}}}"
        judge = ("--set", f"creative.judge.backend={backend}")
        found = printed(evaluate(*asked, *judge, "--json"))
        calls = len(server.seen)
        assert printed(evaluate(*asked, *judge, "--json"))["table"] == found["table"]
        assert len(server.seen) == calls > 0  # verdicts are kept from one call to the next
    quality = next(row for row in found["table"] if row["metric"] == "quality")
    assert quality["value"] == pytest.approx(6 / 9)  # of 1 to 10, as a share
    assert found["prompts"] == "file"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_evaluation_goes_on_where_it_was(shell, small_base, tmp_path):
    asked = ("--model", small_base, "--domain", "social", "--n", "4", "--prompts", "12", "--max-new-tokens", "40")
    asked = (*map(str, asked), "--resamples", "100", *WORLD, "--set", "sampling.shard_prompts=2", "--json")
    out = tmp_path / "out"
    started = shell.polymlops("evaluate", *asked, "--out", str(out))
    started.wait_for(lambda: list(out.glob("unfinished/*/samples/shard-00001.parquet")))
    assert started.kill(signal.SIGKILL) != 0
    (kept,) = out.glob("unfinished/*/samples")
    before = {path.name: path.read_bytes() for path in kept.glob("shard-*.parquet")}
    assert 2 <= len(before) < 6
    assert (out / "dataset" / "test.parquet").is_file()
    done = evaluate(*asked, "--out", out)
    undisturbed = evaluate(*asked, "--out", tmp_path / "undisturbed")
    assert printed(done)["table"] == printed(undisturbed)["table"]
    assert not (out / "unfinished").exists()


def test_a_finished_step_is_not_done_again_and_another_evaluations_is_removed(tmp_path):
    calls = []

    def work(job):
        calls.append(job.output.name)
        (job.output / "file").write_text("x")
        if len(calls) == 2:
            raise KeyboardInterrupt
        return {"a": 1.0, "b": float("nan")}

    steps = Steps(tmp_path, "one")
    steps.do("first", work)
    with pytest.raises(KeyboardInterrupt):
        steps.do("second", work)
    steps.begin()
    assert steps.do("first", work)["a"] == 1.0
    steps.do("second", work)
    assert calls == ["first", "second", "second"]
    other = Steps(tmp_path, "two")
    other.begin()
    other.do("first", work)
    assert calls[-1] == "first"
    assert not steps.scratch.exists()
    other.end()
    assert {path.name for path in tmp_path.iterdir()} == {"first", "second"}


@pytest.mark.slow
def test_for_people_it_prints_a_table(small_base, tmp_path):
    done = evaluate("--model", small_base, *SMALL, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "pass_at_1" in done.stdout
    assert "suite: embedded world" in done.stdout


def test_what_cannot_be_done_is_refused(small_base, adapter, qwen3_folder, tmp_path):
    out = ("--out", tmp_path / "out")
    social = ("--domain", "social", *FEW, *WORLD, *out)
    nothing = ("--set", f"output_dir={tmp_path / 'no-store'}")
    cases = [
        (("--model", "nowhere", *SMALL, *out), "nowhere: no such folder, and no name of a model"),
        (("--model", small_base, *SMALL, *out, "--k", "5"), "--k 5 is above --n 2"),
        (("--model", small_base, *SMALL, *out, "--suite", "file"), "needs --suite-file"),
        (("--model", small_base, "--adapter", tmp_path, *SMALL, *out), "no adapter here"),
        (("--model", small_base, *SMALL, *out, "--max-new-tokens", "500"), "leaves no room"),
        (("--model", adapter, *social), "give --model BASE --adapter"),
        (("--model", qwen3_folder, "--adapter", adapter, *SMALL, *out), "made for another base"),
        (("--model", small_base, *social, "--suite", "world"), "go with --domain code"),
        (("--model", small_base, *social, "--reward", small_base), "no reward model here"),
        (("--model", small_base, *SMALL, *out, "--reward", small_base), "--reward goes with --domain social"),
        (("--model", small_base, *social, "--set", "sampling.n=3"), "--set sampling.n=3: give --n"),
        (("--model", small_base, *SMALL, *out, "--set", "base_model.dtype=bfloat16"), "which said how it is loaded"),
        (("--model", small_base, "--domain", "poetry", *out), "'poetry' is not one of"),
        (("--model", "models:/x@candidate", *social, *nothing), "no tracking store at"),
        (("--model", f"runs:/{'0' * 32}", *social, *nothing), "no tracking store at"),
        (("--model", small_base, "--domain", "creative", *FEW, *out, "--profile", "stories"), "asks for no stories"),
    ]
    for arguments, message in cases:
        done = evaluate(*arguments)
        assert (done.exit_code, message in done.stderr) == (2, True), (arguments, done.output)


def test_a_model_that_cannot_be_had_is_a_failure_with_its_name(tmp_path):
    done = evaluate("--model", "someone/nothing", *SMALL, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "someone/nothing@main: the Hub cannot be reached" in done.stderr


def test_an_adapter_of_a_model_that_is_taken_fits_it(qwen3_folder, small_dataset, make_job):
    """The digest by which an adapter names its base is that of the folder and of what is made of it."""
    from polymlops.models.loading import weights_digest

    job = make_job()
    take_base_model(given_model_spec(FolderModelConfig(path=qwen3_folder)), small_dataset, job)
    assert weights_digest(job.output) == weights_digest(qwen3_folder)
