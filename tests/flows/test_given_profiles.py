"""The profiles for other people's models run whole, with a small random model in the place of the large one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
SMALL = (
    *("seeds=[42]", "data.source={kind: world, posts: 200, replies_per_post: 4}", "lora.r=4"),
    *("sft.epochs=0.3", "sft.checkpoint_every=5", "sft.log_every=5", "polychromic.every=4"),
    *("polychromic.max_new_tokens=12", "reward_model.folds=2", "reward_model.references=1"),
    *("reward_model.resamples=200", "reward_model.validate=false", "grpo.steps=2", "grpo.prompts=4"),
    *("grpo.micro_batch=8", "grpo.max_new_tokens=12", "grpo.checkpoint_every=2", "grpo.log_every=2"),
    *("sampling.n=5", "sampling.prompts=6", "sampling.max_new_tokens=12", "evaluation.ks=[1, 5]"),
    *("evaluation.dynamics_frequency=10", "evaluation.dynamics_prompts=3", "evaluation.dynamics_samples=3"),
    *("evaluation.resamples=200", "code=null", "creative=null"),
)
STORIES = (
    *("data.source.posts=200", "sft.epochs=0.3", "sft.checkpoint_every=5", "sft.log_every=5", "lora.r=4"),
    *("polychromic.max_new_tokens=12", "sampling.n=5", "sampling.prompts=6", "sampling.max_new_tokens=24"),
    *("evaluation.ks=[1, 5]", "evaluation.dynamics_prompts=3", "evaluation.dynamics_samples=3"),
    "evaluation.resamples=200",
)


def overrides(pairs, folder: Path) -> list[str]:
    return [word for pair in (*pairs, f"output_dir={folder}") for word in ("--set", pair)]


def run(shell, profile, *pairs, phase=None):
    chosen = () if phase is None else ("--phase", phase)
    code, done = shell.run("run", profile, *chosen, "--json", *overrides(pairs, shell.folder / "out"))
    assert code == 0, done.err
    return json.loads(done.out)


@pytest.mark.long
def test_the_profile_of_one_gpu_runs_both_its_phases(shell, qwen3_folder):
    base = f"base_model={{kind: folder, path: {qwen3_folder}, dtype: bfloat16}}"
    printed = run(shell, "qwen3-0.6b", base, *SMALL)
    arms = {row["arm"] for row in printed["core"]["table"]}
    assert arms == {"zero_shot", "few_shot", "baseline", "polychromic"}
    assert {"baseline_grpo", "polychromic_grpo"} <= {row["arm"] for row in printed["depth"]["table"]}


@pytest.mark.long
def test_the_papers_profile_runs_its_first_phase(shell, qwen3_folder):
    base = f"base_model={{kind: folder, path: {qwen3_folder}, dtype: bfloat16}}"
    printed = run(shell, "qwen3-8b", base, *SMALL, "sft.micro_batch=4", phase="1")
    assert {row["arm"] for row in printed["core"]["table"]} == {"zero_shot", "few_shot", "baseline", "polychromic"}


def test_the_papers_profile_says_what_four_bits_need(shell, qwen3_folder):
    import torch

    if torch.cuda.is_available():
        pytest.skip("is about machines without CUDA")
    base = f"base_model={{kind: folder, path: {qwen3_folder}, quantization: nf4, dtype: bfloat16}}"
    code, done = shell.run("run", "qwen3-8b", "--phase", "1", *overrides((base, *SMALL), shell.folder / "out"))
    assert code == 2
    assert "quantization nf4 needs a CUDA device" in done.err


@pytest.mark.long
def test_stories_run_on_a_folder_and_ask_for_it_where_it_is_missing(shell, llama_folder):
    printed = run(shell, "stories", *STORIES, f"base_model.path={llama_folder}", phase="1")
    rows = printed["core"]["table"]
    assert {row["arm"] for row in rows} == {"zero_shot", "baseline", "polychromic"}
    assert any(row["metric"] == "distinct_intents_at_5" for row in rows)
    code, done = shell.run("run", "stories", "--set", f"output_dir={shell.folder / 'none'}")
    assert code == 2
    assert "stories260K: no such folder" in done.err


def test_stories_speak_on_the_pretrained_model(shell):
    """With the real model the untrained arm goes on in words and ends by itself at times."""
    data = os.environ.get("POLYMLOPS_DATA")
    if not data or not (Path(data) / "stories260K").is_dir():
        pytest.skip("POLYMLOPS_DATA names no folder with stories260K")
    real = f"base_model.path={Path(data) / 'stories260K'}"
    printed = run(shell, "stories", *STORIES, real, "sft.epochs=1", "sampling.max_new_tokens=72", phase="1")
    values = {(row["arm"], row["metric"]): row["value"] for row in printed["core"]["table"]}
    assert values["baseline", "well_formed"] > values["zero_shot", "well_formed"] == 0
