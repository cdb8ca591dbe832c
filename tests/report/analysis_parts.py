"""What the tests of the analysis stages share: random adapters on the small base, and replies scored by the world."""

from __future__ import annotations

import json

import numpy as np
import polars as pl

from polymlops.data.prompts import load_split
from polymlops.data.truth import load_truth
from polymlops.models.loading import load_base, weights_digest
from polymlops.report.analysis_files import AnalysisFolders
from polymlops.training.adapter_files import save_weights

LABELS = ("baseline/1", "polychromic/1", "baseline_grpo/1")
CANDIDATES = 6
HISTORY = [{"step": step, "entropy": 1 - step / 40, "reward": 2 - 0.3 * np.exp(1 - step / 40)} for step in range(1, 13)]


def random_adapter(base, folder, seed):
    """An adapter of rank 2 on two modules that changes what the model says."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    lora = LoraConfig(
        r=2, lora_alpha=2, target_modules=["v_proj", "down_proj"], init_lora_weights=False, task_type="CAUSAL_LM"
    )
    folder.mkdir(parents=True)
    save_weights(get_peft_model(load_base(base), lora), folder)
    (folder / "adapter.json").write_text(json.dumps({"base_weights_sha256": weights_digest(base)}))
    (folder / "history.json").write_text(json.dumps([{"step": 1, "loss": 1.0}]))
    return folder


def scored_candidates(dataset, folder, label, seed):
    """Each test post with six replies, some of its own and some of other posts, scored by the world."""
    arm, number = label.split("/")
    truth, rng = load_truth(dataset), np.random.default_rng(seed)
    rows = load_split(dataset, "test")
    posts, replies = rows.unique("post_id", keep="first", maintain_order=True), rows["reply"].to_list()
    samples, scores = [], []
    for post_id, post in posts.select("post_id", "post").rows():
        for sample_id, text in enumerate(rng.choice(replies, CANDIDATES, replace=False).tolist()):
            key = {"arm": arm, "seed": int(number), "prompt_id": post_id, "sample_id": sample_id}
            verdict = truth.judge(post_id, text)
            samples.append(key | {"prompt": post, "text": text})
            scores.append(
                key
                | {"passed": verdict.passed, "quality": verdict.quality, "intent": verdict.intent}
                | {"well_formed": verdict.well_formed, "selector_logprob": float(rng.normal())}
            )
    folder.mkdir(parents=True)
    pl.DataFrame(samples).write_parquet(folder / "samples.parquet")
    pl.DataFrame(scores).write_parquet(folder / "scores.parquet")
    pl.DataFrame({"prompt_id": posts["post_id"], "self_bleu": 0.5}).write_parquet(folder / "diversity.parquet")
    return folder


def make_folders(base, dataset, root):
    """Two SFT adapters and one of GRPO with a log; the first two with candidates."""
    adapters = {label: random_adapter(base, root / label, seed) for seed, label in enumerate(LABELS)}
    (adapters["baseline_grpo/1"] / "history.json").write_text(json.dumps(HISTORY))
    scored = {
        label: scored_candidates(dataset, root / "scored" / label, label, seed) for seed, label in enumerate(LABELS[:2])
    }
    return AnalysisFolders(base, dataset, adapters, scored, scored)
