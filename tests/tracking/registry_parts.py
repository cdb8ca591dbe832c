"""Small real parts of a registration: an adapter that does something, and artifacts in the store."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from polymlops.config.profiles import load_config
from polymlops.config.sampling import SamplingConfig
from polymlops.config.slices import adapter_spec
from polymlops.models.loading import weights_digest
from polymlops.records import Estimate
from polymlops.refs import ModelRef, Reference
from polymlops.tracking.artifacts import publish
from polymlops.tracking.ledger import begin_run, end_run
from polymlops.tracking.registry import RegistryCandidate
from polymlops.tracking.registry_promotion import GATES, Gate, PromotionDecision, decide_promotion
from polymlops.training.adapter_files import save_weights
from polymlops.training.sft import attach_lora

SAMPLING = SamplingConfig(n=3, max_new_tokens=12)
BETTER = Estimate(0.05, 0.02, 0.08, 100)


def make_adapter(base: Path, folder: Path, seed: int = 0, **about) -> Path:
    """An adapter of `base` whose weights are random and not small, as GRPO's stage leaves one."""
    torch.manual_seed(seed)
    model = attach_lora(base, adapter_spec(load_config("demo", ["lora.r=4"]), "baseline", 1)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.05)
    save_weights(model, folder)
    named = {"base_weights_sha256": weights_digest(base), "alarm": None, "kept_step": 6}
    (folder / "adapter.json").write_text(json.dumps(named | about))
    return folder


def stored(book, folder: Path, kind: type[Reference] = ModelRef) -> Reference:
    """A folder as the output of a finished run."""
    run_id = begin_run(book.client, book.context.experiment_id, {}, {})
    uri, manifest = publish(book.client, run_id, folder)
    end_run(book.client, run_id, "FINISHED")
    return kind(run_id=run_id, uri=uri, digest=manifest.digest)


def make_candidate(book, base: Path, folder: Path, **changes) -> RegistryCandidate:
    """A candidate with an adapter of its own, ranked by the heuristic reward."""
    parts = {"profile": "smoke", "start": "baseline", "reward": None, "sampling": SAMPLING} | changes
    if "adapter" not in parts:
        parts["adapter"] = stored(book, make_adapter(base, folder / "adapter"))
    if "base" not in parts:
        parts["base"] = stored(book, base)
    return RegistryCandidate(**parts)


def versions(client, name: str) -> dict[int, dict[str, str]]:
    """Tags of the versions of a registered model, by number."""
    return {int(version.version): version.tags for version in client.search_model_versions(f"name = '{name}'")}


def aliases(client, name: str) -> dict[str, int]:
    """Which version each alias of a registered model names."""
    found = client.search_registered_models(f"name = '{name}'")
    return {alias: int(number) for model in found for alias, number in model.aliases.items()}


def gates(**failed: str) -> list[Gate]:
    """Every gate: failed for the reason given, or passed."""
    return [Gate(name, name not in failed, failed.get(name, "")) for name in GATES]


def decide(difference: Estimate, **failed: str) -> PromotionDecision:
    """The decision about a difference of USQ, and gates as in `gates`."""
    return decide_promotion(difference, gates(**failed), "usq_logprob_at_10", 3)
