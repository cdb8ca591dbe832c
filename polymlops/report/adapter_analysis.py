"""The stage that says what adapters changed, weight by weight, and by switching layers off which carry diversity."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from polymlops.analysis.lora_ablation import (
    Ablation,
    AblationProbe,
    Scorer,
    ablate_blocks,
    adapted_layers,
    layer_blocks,
    load_adapted,
)
from polymlops.analysis.lora_comparison import AdapterComparison
from polymlops.analysis.lora_parameters import AdapterAnalysis, analyze_adapter, compare_adapters
from polymlops.analysis.lora_ranks import advise_rank
from polymlops.config.analysis import AdapterAnalysisSpec
from polymlops.data.prompts import chat, prompts_of
from polymlops.data.truth import load_truth
from polymlops.figures.adapters import ablation_figure, adapters_figure
from polymlops.figures.saving import save_figure
from polymlops.figures.style import arm_styles
from polymlops.generation.decoding import Decoding
from polymlops.generation.encoding import decode_candidate, encode_chat
from polymlops.metrics.semantic import mean_pairwise_distance
from polymlops.models.encoder import embed, load_encoder
from polymlops.models.loading import load_tokenizer
from polymlops.records import Job
from polymlops.report.analysis_files import (
    AnalysisFolders,
    by_arm,
    paired_labels,
    split_label,
    write_table,
)
from polymlops.report.json_files import write_json

TITLED_PAIRS = 4  # cosine maps that fit a page


def analyse_adapters(spec: AdapterAnalysisSpec, folders: AnalysisFolders, job: Job) -> dict[str, float]:
    """Write tables and figures of the adapters in `folders` to `job.output`.

    Tables (parquet and CSV): lora_parameters (a weight), lora_comparisons (a weight of two arms, or of SFT and GRPO),
    layer_ablation (a block and score). rank_advice.json, ablation_findings.json. Figures: lora_parameter_analysis
    and layer_ablation_<arm>, of each arm's first seed. Returns norm, intrinsic rank and the change of each score
    without each block by `lora/<arm>/<seed>/...`.

    Raises: InputError without adapters, for a label that is not arm/seed, or an adapter of another base.
    """
    arms = by_arm(list(folders.adapters))
    analyses = {label: analyze_adapter(folder, folders.base) for label, folder in folders.adapters.items()}
    pairs = [pair for found in paired_labels(list(folders.adapters)).values() for pair in found]
    comparisons = {(a, b): compare_adapters(folders.adapters[a], folders.adapters[b], folders.base) for a, b in pairs}
    _write_parameters(analyses, comparisons, job.output)
    first = {arm: analyses[f"{arm}/{seeds[0]}"] for arm, seeds in arms.items()}
    save_figure(adapters_figure(first, _titled(comparisons, arms)), job.output, "lora_parameter_analysis")
    ablations = _ablate(spec, folders)
    _write_ablations(ablations, arms, job.output)
    return _metrics(analyses, ablations)


def _write_parameters(
    analyses: Mapping[str, AdapterAnalysis], comparisons: Mapping[tuple[str, str], AdapterComparison], folder: Path
) -> None:
    rows = [_named(label) | row for label, analysis in analyses.items() for row in analysis.rows()]
    write_table(rows, folder, "lora_parameters")
    compared = [
        {"a": split_label(a)[0], "b": split_label(b)[0], "seed": split_label(b)[1]} | row
        for (a, b), comparison in comparisons.items()
        for row in comparison.rows()
    ]
    write_table(compared, folder, "lora_comparisons")
    advice = {label: advise_rank(analysis) for label, analysis in analyses.items()}
    described = {
        label: {
            "sentence": item.sentence,
            "every_module": item.every_module,
            "whole_adapter": item.whole_adapter,
            "trained": item.trained,
            "parameters_kept": item.parameters_kept,
            "energy_by_layer": {str(layer): share for layer, share in analyses[label].energy_by_layer().items()},
        }
        for label, item in advice.items()
    }
    write_json(folder / "rank_advice.json", described)


def _titled(
    comparisons: Mapping[tuple[str, str], AdapterComparison], arms: Mapping[str, list[int]]
) -> dict[str, AdapterComparison]:
    """The pairs of the first seeds, by a title of two lines."""
    styles = arm_styles(arms)
    titled = {}
    for (a, b), comparison in comparisons.items():
        (arm_a, seed), (arm_b, _) = split_label(a), split_label(b)
        if seed == min(set(arms[arm_a]) & set(arms[arm_b])):
            titled[f"{styles[arm_a].label}\n{styles[arm_b].label}"] = comparison
    return dict(list(titled.items())[:TITLED_PAIRS])


def _ablate(spec: AdapterAnalysisSpec, folders: AnalysisFolders) -> dict[str, Ablation]:
    import torch

    probe = _probe(spec, folders)
    measure = _scorers(folders)
    ablations = {}
    for label, folder in folders.adapters.items():
        model = load_adapted(folders.base, folder)
        layers = adapted_layers(model)
        blocks = layer_blocks(layers, min(spec.ablation.blocks, len(layers)))
        with torch.no_grad():
            ablations[label] = ablate_blocks(model, blocks, probe, measure, spec.ablation.level)
    return ablations


def _probe(spec: AdapterAnalysisSpec, folders: AnalysisFolders) -> AblationProbe:
    tokenizer = load_tokenizer(folders.base)
    prompts = prompts_of(folders.dataset, "validation", spec.ablation.prompts, spec.sampling.seed)
    sampling = spec.sampling
    return AblationProbe(
        prompt_ids=tuple(prompt.prompt_id for prompt in prompts),
        encoded=tuple(tuple(encode_chat(tokenizer, chat(prompt.text))) for prompt in prompts),
        samples=spec.ablation.samples,
        decoding=Decoding(sampling.temperature, sampling.top_p, sampling.top_k, sampling.max_new_tokens),
        seed=sampling.seed,
        decode=partial(decode_candidate, tokenizer),
    )


def _scorers(folders: AnalysisFolders) -> dict[str, Scorer]:
    """Semantic diversity; on the embedded world also the true quality and the number of true intents."""
    encoder = load_encoder(folders.base / "encoder")
    scorers: dict[str, Scorer] = {
        "semantic_diversity": lambda _, texts: mean_pairwise_distance(embed(encoder, texts)),
    }
    if (folders.dataset / "truth.parquet").is_file():
        truth = load_truth(folders.dataset)
        scorers["true_intents"] = lambda prompt, texts: float(
            len({verdict.intent for text in texts if (verdict := truth.judge(prompt, text)).intent})
        )
        scorers["quality"] = lambda prompt, texts: float(np.mean([truth.judge(prompt, text).quality for text in texts]))
    return scorers


def _write_ablations(ablations: Mapping[str, Ablation], arms: Mapping[str, list[int]], folder: Path) -> None:
    rows = [_named(label) | row for label, ablation in ablations.items() for row in ablation.rows()]
    write_table(rows, folder, "layer_ablation")
    sentences = {
        label: [ablation.sentence(score) for score in dict.fromkeys(effect.score for effect in ablation.effects)]
        for label, ablation in ablations.items()
    }
    write_json(folder / "ablation_findings.json", sentences)
    for arm, seeds in arms.items():
        save_figure(ablation_figure(ablations[f"{arm}/{seeds[0]}"]), folder, f"layer_ablation_{arm}")


def _metrics(analyses: Mapping[str, AdapterAnalysis], ablations: Mapping[str, Ablation]) -> dict[str, float]:
    flat: dict[str, float] = {}
    for label, analysis in analyses.items():
        advice = advise_rank(analysis)
        flat[f"lora/{label}/norm"] = float(np.sqrt(sum(module.norm_delta**2 for module in analysis.modules)))
        flat[f"lora/{label}/rank_99"] = float(advice.whole_adapter)
        flat[f"lora/{label}/parameters_kept_99"] = advice.parameters_kept
    for label, ablation in ablations.items():
        for effect in ablation.effects:
            name = f"lora/{label}/without_{effect.block.name}/{effect.score}"
            flat |= {name: effect.change.value, f"{name}_low": effect.change.low, f"{name}_high": effect.change.high}
    return flat


def _named(label: str) -> dict[str, Any]:
    arm, seed = split_label(label)
    return {"arm": arm, "seed": seed}
