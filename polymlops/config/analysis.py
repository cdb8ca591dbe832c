"""The analyses of trained adapters: their settings, what their stages may see, and when gradients are recorded."""

from __future__ import annotations

from pydantic import Field

from polymlops.config.sampling import SamplingConfig
from polymlops.config.section import Fraction, Section


class GradientConfig(Section):
    """Gradient norms by layer and loss term, recorded during training; a recorded run ends in the same weights."""

    track: bool = Field(
        False, description="off, no step costs anything; on, a recorded step costs a backward pass more"
    )
    every: int = Field(10, ge=1, description="optimizer steps between records")


class AblationConfig(Section):
    """Candidates that are sampled again with one block of layers switched off at a time."""

    prompts: int = Field(24, ge=2, description="validation prompts; the interval is over them")
    samples: int = Field(8, ge=2, description="candidates a prompt")
    blocks: int = Field(4, ge=1, description="contiguous blocks of layers; at most as many as there are layers")
    level: Fraction = Field(0.95, description="level at which all intervals of one score hold together")


class AdapterAnalysisSpec(Section):
    """What adapters changed, weight by weight, and which layers carry diversity."""

    ablation: AblationConfig = AblationConfig()
    sampling: SamplingConfig = Field(SamplingConfig(), description="decoding of the ablation; n and prompts unused")


class MechanismSpec(Section):
    """Attention, hidden states and depth of the arms."""

    prompts: int = Field(40, ge=5, description="test prompts that are read; intervals are over them")
    candidates: int = Field(10, ge=3, description="stored candidates a prompt whose hidden states are clustered")
    level: Fraction = Field(0.95, description="level at which all heads, or all layers, of one quantity hold together")
    seed: int = Field(0, ge=0, description="of the bootstrap")


class TheorySpec(Section):
    """Predictions of theory beside measurements, for every arm and seed."""

    ks: tuple[int, ...] = Field((1, 2, 4, 8, 16), min_length=1, description="candidates shown; above n is undefined")
    resamples: int = Field(200, ge=50, description="of prompts, each with a fit of its own, for pass@k")
    seed: int = Field(0, ge=0, description="of the bootstrap")


class AnalysisConfig(Section):
    """What phase 2 says about the adapters that it compares."""

    ablation: AblationConfig = AblationConfig()
    mechanism: MechanismSpec = MechanismSpec()
    theory: TheorySpec = TheorySpec()
