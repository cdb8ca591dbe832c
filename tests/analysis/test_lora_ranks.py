import numpy as np
import pytest

from polymlops.analysis.lora_adapters import AdapterState
from polymlops.analysis.lora_parameters import analyze_adapter
from polymlops.analysis.lora_ranks import advise_rank
from polymlops.errors import MetricError


def state(spectra):
    """An adapter whose modules have these singular values, alpha = r."""
    rng = np.random.default_rng(0)
    tensors = {}
    for index, values in enumerate(spectra):
        rank = len(values)
        u, v = (np.linalg.qr(rng.normal(size=(side, rank)))[0] for side in (12, 9))
        stem = f"base_model.model.layers.{index}.up.lora_"
        tensors |= {f"{stem}A.weight": v.T.copy(), f"{stem}B.weight": u * np.array(values)}
    return AdapterState({"peft_type": "LORA", "lora_alpha": len(spectra[0])}, tensors)


def test_every_rank_is_the_smallest_that_keeps_the_energy():
    # Squares: 100 + 1 (99.0 %, just kept by one), 4 + 4 + 4, nothing.
    advice = advise_rank(analyze_adapter(state([[10, 1, 0], [2, 2, 2], [0, 0, 0]])))
    assert advice.by_module == {"layers.0.up": 1, "layers.1.up": 3}
    assert advice.every_module == 3
    # 104 / 113 = .92, 109 / 113 = .965, all.
    assert advice.whole_adapter == 3
    assert advice.trained == 3
    assert advice.untrained == 1
    assert advice.parameters_kept == pytest.approx((1 + 3) / 9)
    assert "Rank 3 keeps 99% of the energy of every weight" in advice.sentence
    assert "1 weights did not move" in advice.sentence


def test_less_energy_needs_less_rank():
    analysis = analyze_adapter(state([[10, 1, 0], [2, 2, 2]]))
    assert advise_rank(analysis, 0.9).whole_adapter == 1
    assert advise_rank(analysis, 0.95).whole_adapter == 2
    assert advise_rank(analysis, 0.6).by_module["layers.1.up"] == 2


def test_truncation_at_the_advised_rank_keeps_that_energy():
    rng = np.random.default_rng(1)
    spectra = [np.sort(rng.exponential(size=6))[::-1] ** 2 for _ in range(5)]
    advice = advise_rank(analyze_adapter(state(spectra)), 0.97)
    for values, rank in zip(spectra, advice.by_module.values(), strict=True):
        kept = np.sum(values[:rank] ** 2) / np.sum(values**2)
        assert kept >= 0.97 > np.sum(values[: rank - 1] ** 2) / np.sum(values**2)
    total = sum(np.sum(values**2) for values in spectra)
    kept = [sum(np.sum(values[:rank] ** 2) for values in spectra) / total for rank in range(7)]
    assert advice.whole_adapter == next(rank for rank, share in enumerate(kept) if share >= 0.97)


def test_the_advice_is_a_rank_pattern_that_peft_follows(tiny_model):
    from copy import deepcopy

    import torch
    from peft import LoraConfig, get_peft_model

    adapted = get_peft_model(deepcopy(tiny_model), LoraConfig(r=4, target_modules=["q_proj", "up_proj"]))
    torch.manual_seed(0)
    learned = [parameter for name, parameter in adapted.named_parameters() if "lora_B" in name]
    for index, parameter in enumerate(learned):
        parameter.data = torch.randn_like(parameter) * torch.tensor([1.0, *[index % 2] * 3])
    tensors = {
        name.replace(".default", ""): parameter.detach().numpy()
        for name, parameter in adapted.named_parameters()
        if "lora_" in name
    }
    advice = advise_rank(analyze_adapter(AdapterState({"peft_type": "LORA", "lora_alpha": 8}, tensors)))
    assert len(set(advice.by_module.values())) > 1
    config = LoraConfig(r=4, target_modules=["q_proj", "up_proj"], rank_pattern=dict(advice.by_module))
    smaller = get_peft_model(deepcopy(tiny_model), config)
    for path, rank in advice.by_module.items():
        assert smaller.base_model.model.get_submodule(path).r["default"] == rank


def test_nothing_learned_gives_no_advice():
    advice = advise_rank(analyze_adapter(state([[0, 0], [0, 0]])))
    assert (advice.every_module, advice.whole_adapter, advice.by_module) == (0, 0, {})
    assert advice.sentence == "No weight moved: there is no rank to advise."


def test_an_energy_that_is_no_share_is_refused():
    with pytest.raises(MetricError, match="energy"):
        advise_rank(analyze_adapter(state([[1, 1]])), 1.2)
