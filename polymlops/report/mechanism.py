"""The stage that looks inside the arms: attention, hidden states of stored candidates, depth, recorded gradients.

Nothing is sampled: all arms read the best-liked replies of test posts, and each its own stored candidates. Intervals
are over prompts; seeds of an arm are averaged prompt by prompt first, so that nothing is said of another training run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from polymlops.analysis.mechanistic import (
    AttentionComparison,
    AttentionProfile,
    CandidateGroup,
    ClusterProfile,
    ClusterSummary,
    DepthComparison,
    Passage,
    average_profiles,
    cluster_states,
    compare_attention,
    compare_depth,
    measure_attention,
    measure_depth,
    summarise_clusters,
)
from polymlops.analysis.mechanistic_attention import MEASURES
from polymlops.config.analysis import MechanismSpec
from polymlops.data.prompts import chat, load_split, prompts_of
from polymlops.errors import ArtifactError, InputError
from polymlops.figures.mechanistic import attention_figure, clusters_figure, depth_figure, gradients_figure
from polymlops.figures.saving import save_figure
from polymlops.generation.encoding import encode_chat
from polymlops.models.loading import load_tokenizer, load_with_adapter
from polymlops.records import Job
from polymlops.report.analysis_files import (
    AnalysisFolders,
    by_arm,
    paired_labels,
    split_label,
    write_table,
)
from polymlops.report.json_files import write_json
from polymlops.training.gradient_norms import read_norms

CANDIDATE = ("prompt_id", "sample_id", "prompt", "text")


def analyse_mechanism(spec: MechanismSpec, folders: AnalysisFolders, job: Job) -> dict[str, float]:
    """Write tables (parquet and CSV), figures and sentences about the arms of `folders` to `job.output`.

    Tables: attention (a head and measure of a pair of arms), depth (a layer of a pair), hidden_states (a layer of an
    arm), gradients (a layer and recorded step). Figures: attention_heads, depth_divergence, hidden_state_clusters,
    gradient_norms; each is left out where there is nothing to draw. mechanism_findings.json has the sentences.
    Returns `mechanism/<arm>_minus_<reference>/...` and `mechanism/<arm>/...`.

    Raises: InputError without adapters or without test replies; ArtifactError where a sample set lacks its scores.
    """
    labels = list(folders.adapters)
    profiles, clusters = _read_arms(spec, folders)
    pairs = paired_labels(labels)
    attention = [
        compare_attention((a, profiles[a]), (b, profiles[b]), _rng(spec, 0, index), spec.level)
        for index, (a, b) in enumerate(pairs)
    ]
    depth = _read_pairs(spec, folders)
    _write(attention, depth, clusters, job.output)
    _write_gradients(folders, job.output)
    return _metrics(attention, depth, clusters)


def read_passages(base: Path, dataset: Path, count: int, seed: int) -> list[Passage]:
    """At most `count` test posts, each with its best-liked reply as an assistant would have written it.

    Raises: InputError where the test split is empty.
    """
    tokenizer = load_tokenizer(base)
    prompts = prompts_of(dataset, "test", count, seed)
    rows = load_split(dataset, "test").sort("likes", "reply_id", descending=[True, False])
    best = {row["post_id"]: row["reply"] for row in reversed(list(rows.iter_rows(named=True)))}
    if not prompts:
        raise InputError(f"{dataset}: the test split is empty; raise data.split.test or the number of posts")
    passages = []
    for prompt in prompts:
        asked = encode_chat(tokenizer, chat(prompt.text))
        reply = _reply_tokens(tokenizer, best[prompt.prompt_id])
        passages.append(Passage(prompt.prompt_id, (*asked, *reply), len(asked) - 1))
    return passages


def read_groups(base: Path, samples: Path, scores: Path, limit: tuple[int, int]) -> list[CandidateGroup]:
    """Stored candidates with their true intents: at most `limit` prompts, in the order of their ids, and candidates.

    Raises: ArtifactError where a candidate has no scores.
    """
    tokenizer = load_tokenizer(base)
    prompts, candidates = limit
    kept = pl.read_parquet(samples / "samples.parquet", columns=list(CANDIDATE)).filter(
        pl.col("sample_id").rank("dense").over("prompt_id") <= candidates
    )
    chosen = kept["prompt_id"].unique().sort().head(prompts)
    intents = pl.read_parquet(scores / "scores.parquet", columns=["prompt_id", "sample_id", "intent"])
    kept = kept.filter(pl.col("prompt_id").is_in(chosen.implode())).sort("prompt_id", "sample_id")
    joined = kept.join(intents, on=["prompt_id", "sample_id"], how="left", coalesce=True, maintain_order="left")
    if len(kept.join(intents, on=["prompt_id", "sample_id"], how="anti")):
        raise ArtifactError(f"{scores}: candidates of {samples} are missing; score the sample set again")
    return [
        CandidateGroup(
            prompt_id,
            tuple(encode_chat(tokenizer, chat(group["prompt"][0]))),
            tuple(_reply_tokens(tokenizer, text) for text in group["text"]),
            tuple(group["intent"].fill_null("")),
        )
        for (prompt_id,), group in joined.group_by("prompt_id", maintain_order=True)
    ]


def _reply_tokens(tokenizer: Any, text: str) -> tuple[int, ...]:
    return (*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id)


def _read_arms(
    spec: MechanismSpec, folders: AnalysisFolders
) -> tuple[dict[str, AttentionProfile], list[ClusterSummary]]:
    """Attention of each arm, seeds averaged, and how the hidden states of its stored candidates group."""
    passages = read_passages(folders.base, folders.dataset, spec.prompts, spec.seed)
    attention: dict[str, AttentionProfile] = {}
    clusters: list[ClusterSummary] = []
    for index, (arm, seeds) in enumerate(by_arm(list(folders.adapters)).items()):
        read, grouped = [], []
        for label in (f"{arm}/{seed}" for seed in seeds):
            model = load_with_adapter(folders.base, folders.adapters[label])
            read.append(measure_attention(model, passages))
            if label in folders.samples:
                grouped.append(_clusters_of(spec, folders, label, model))
        attention[arm] = average_profiles(read)
        if grouped:
            clusters.append(summarise_clusters(arm, grouped, _rng(spec, 1, index), spec.level))
    return attention, clusters


def _clusters_of(spec: MechanismSpec, folders: AnalysisFolders, label: str, model: Any) -> ClusterProfile:
    if label not in folders.scores:
        raise ArtifactError(f"{label}: a sample set without scores; score it first")
    limit = spec.prompts, spec.candidates
    return cluster_states(model, read_groups(folders.base, folders.samples[label], folders.scores[label], limit))


def _read_pairs(spec: MechanismSpec, folders: AnalysisFolders) -> list[DepthComparison]:
    passages = read_passages(folders.base, folders.dataset, spec.prompts, spec.seed)
    compared = []
    for index, (names, pairs) in enumerate(paired_labels(list(folders.adapters)).items()):
        profiles = []
        for labels in pairs:
            a, b = (load_with_adapter(folders.base, folders.adapters[label]) for label in labels)
            profiles.append(measure_depth(a, b, passages))
        compared.append(compare_depth(names, profiles, _rng(spec, 2, index), spec.level))
    return compared


def _write(
    attention: Sequence[AttentionComparison],
    depth: Sequence[DepthComparison],
    clusters: Sequence[ClusterSummary],
    folder: Path,
) -> None:
    write_table([row for item in attention for row in item.rows()], folder, "attention")
    write_table([row for item in depth for row in item.rows()], folder, "depth")
    write_table([row for item in clusters for row in item.rows()], folder, "hidden_states")
    sentences = {
        "attention": [item.sentence(measure) for item in attention for measure in MEASURES],
        "depth": [item.sentence for item in depth],
        "hidden_states": [item.sentence for item in clusters],
    }
    write_json(folder / "mechanism_findings.json", sentences)
    if attention:
        save_figure(attention_figure(attention), folder, "attention_heads")
        save_figure(depth_figure(depth), folder, "depth_divergence")
    if any(item.layers[0].silhouette.n for item in clusters if item.layers):
        save_figure(clusters_figure(clusters), folder, "hidden_state_clusters")


def _write_gradients(folders: AnalysisFolders, folder: Path) -> None:
    runs = {label: rows for label, path in folders.adapters.items() if (rows := read_norms(path))}
    named = [
        {"arm": split_label(label)[0], "seed": split_label(label)[1], **row}
        for label, rows in runs.items()
        for row in rows
    ]
    write_table(named, folder, "gradients")
    if runs:
        save_figure(gradients_figure(runs), folder, "gradient_norms")


def _metrics(
    attention: Sequence[AttentionComparison], depth: Sequence[DepthComparison], clusters: Sequence[ClusterSummary]
) -> dict[str, float]:
    flat: dict[str, float] = {}
    for pair in attention:
        for measure in MEASURES:
            heads = [head for head in pair.heads if head.measure == measure]
            name = f"mechanism/{pair.b}_minus_{pair.a}/attention_{measure}"
            flat[name] = float(np.mean([head.change.value for head in heads]))
            flat[f"{name}_heads_changed"] = float(sum(head.change.excludes_zero for head in heads))
    for item in depth:
        for layer in item.layers:
            flat[f"mechanism/{item.b}_minus_{item.a}/kl_layer_{layer.layer}"] = layer.kl.value
    for summary in clusters:
        for row in summary.layers:
            for name, value in (("silhouette", row.silhouette), ("excess_clusters", row.excess)):
                flat[f"mechanism/{summary.arm}/{name}_layer_{row.layer}"] = value.value
    return flat


def _rng(spec: MechanismSpec, part: int, index: int) -> np.random.Generator:
    return np.random.default_rng([spec.seed, part, index])
