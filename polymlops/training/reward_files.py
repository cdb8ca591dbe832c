"""A fitted candidate on disk: arrays in safetensors, everything else in the reward model's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from polymlops.training.reward_blocks import Scaling
from polymlops.training.reward_candidates import FittedCandidate
from polymlops.training.reward_cross_encoder import CrossEncoderModel, load_cross_encoder
from polymlops.training.reward_guard import Guard
from polymlops.training.reward_kernel import KernelModel
from polymlops.training.reward_pairs import PairModel

ARRAYS, PAIRS = "frozen.safetensors", "pairs.safetensors"


def save_candidate(fitted: FittedCandidate, folder: Path) -> dict[str, Any]:
    """Write the candidate's arrays and return what else it takes to load it."""
    model = fitted.model
    guard = {
        "limits": fitted.guard.limits_G.tolist(),
        "spreads": fitted.guard.spreads_G.tolist(),
        "floor": fitted.guard.floor,
    }
    if isinstance(model, CrossEncoderModel):
        model.save(folder)
        return {
            "kept": fitted.name,
            "guard": guard,
            "members": len(model.members),
            "mean": model.mean,
            "spread": model.spread,
        }
    if isinstance(model, PairModel):
        _save_pairs(model, folder)
        return {"kept": fitted.name, "guard": guard}
    _save_kernel(model, folder)
    lengths = {name: scaling.length for name, scaling in model.scaling.items()}
    return {"kept": fitted.name, "guard": guard, "variances": list(model.variances), "lengths": lengths}


def load_candidate(folder: Path, about: Mapping[str, Any]) -> FittedCandidate:
    """Read what `save_candidate` wrote."""
    guard = Guard(
        np.array(about["guard"]["limits"]), np.array(about["guard"]["spreads"]), float(about["guard"]["floor"])
    )
    if about["kept"] == "frozen":
        return FittedCandidate("frozen", _load_kernel(folder, about), guard)
    if about["kept"] == "pairs":
        return FittedCandidate("pairs", _load_pairs(folder), guard)
    model = load_cross_encoder(folder, about["members"], about["mean"], about["spread"])
    return FittedCandidate("cross_encoder", model, guard)


def _save_pairs(model: PairModel, folder: Path) -> None:
    from safetensors.numpy import save_file

    arrays = {"mean": model.mean_F, "scale": model.scale_F, "weights": model.weights_MF}
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / PAIRS)


def _load_pairs(folder: Path) -> PairModel:
    from safetensors.numpy import load_file

    arrays = load_file(folder / PAIRS)
    return PairModel(arrays["mean"], arrays["scale"], arrays["weights"])


def _save_kernel(model: KernelModel, folder: Path) -> None:
    from safetensors.numpy import save_file

    arrays = {
        "means": model.means_M,
        "coefficients": model.coefficients_MN,
        "plain": model.plain_MN,
        "post_factors": model.post_factors_MRN,
        "reply_factors": model.reply_factors_MRN,
    }
    for name, block in model.support.items():
        scaling = model.scaling[name]
        arrays |= {f"support.{name}": block, f"mean.{name}": scaling.mean_D, f"scale.{name}": scaling.scale_D}
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / ARRAYS)


def _load_kernel(folder: Path, about: Mapping[str, Any]) -> KernelModel:
    from safetensors.numpy import load_file

    arrays = load_file(folder / ARRAYS)
    names = list(about["lengths"])
    return KernelModel(
        {name: arrays[f"support.{name}"] for name in names},
        {name: Scaling(arrays[f"mean.{name}"], arrays[f"scale.{name}"], about["lengths"][name]) for name in names},
        tuple(about["variances"]),
        arrays["means"],
        arrays["coefficients"],
        arrays["plain"],
        arrays["post_factors"],
        arrays["reply_factors"],
    )
