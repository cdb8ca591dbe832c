"""How much disk an experiment takes, computed from shapes: an estimate from above, for deciding early.

Each adapter is kept twice (artifact store, cache). While one is trained, its checkpoints hold it and Adam's two
moments: two for SFT, all of them for GRPO, which may go back to the best. The embedded base is kept twice and copied
into both registered models; a base on the Hub is downloaded in half precision. A candidate is a few bytes a token,
twice.
"""

from __future__ import annotations

from polymlops.config.base_models import EmbeddedModelConfig, HubModelConfig
from polymlops.config.schema import ExperimentConfig
from polymlops.config.slices import all_arms, grpo_arms, trained_arms
from polymlops.models.architecture import Architecture

FIXED = 2**29  # bytes: databases, figures, logs, the dataset
CHECKPOINT = 12  # bytes a parameter: value and two moments
TOKEN = 16  # bytes a sampled token with its share of scores


def disk_need(config: ExperimentConfig, shape: Architecture, hub_cached: bool) -> dict[str, int]:
    """Bytes by what they are for; `hub_cached`: the base need not be downloaded."""
    lora = shape.lora_parameters(config.lora.r, config.lora.target_modules)
    adapters = len(trained_arms(config)) + len(grpo_arms(config))
    kept = config.grpo.steps // config.grpo.checkpoint_every if grpo_arms(config) else 0
    arms = len(all_arms(config)) + len(grpo_arms(config))
    domains = [config.sampling] + [domain.sampling for domain in (config.code, config.creative) if domain is not None]
    tokens = sum(sampling.prompts * sampling.n * sampling.max_new_tokens for sampling in domains)
    return {
        "base model": _base(config, shape, hub_cached),
        "adapters": adapters * lora * 4 * 2,
        "checkpoints": max(2, kept) * lora * CHECKPOINT if adapters else 0,
        "candidates": arms * tokens * TOKEN * 2,
        "databases, figures and logs": FIXED,
    }


def _base(config: ExperimentConfig, shape: Architecture, hub_cached: bool) -> int:
    if isinstance(config.base_model, EmbeddedModelConfig):
        return shape.parameters * 4 * 4
    downloaded = isinstance(config.base_model, HubModelConfig) and not hub_cached
    return shape.parameters * 2 if downloaded else 0
