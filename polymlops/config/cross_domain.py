"""What the analysis over domains may see: which domains, what stands for quality and diversity, whom to compare.

"Higher is better" must hold for the two metrics that a domain names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, model_validator

from polymlops.config.sampling import SamplingConfig
from polymlops.config.section import Section, Slug


class DomainView(Section):
    """One domain: how its sample sets were drawn, and its two leading metrics."""

    sampling: SamplingConfig
    quality: str = Field("quality", min_length=1, description="metric of quality; higher is better")
    diversity: str = Field("semantic_diversity", min_length=1, description="metric of diversity; higher is more")


class CrossDomainSpec(Section):
    """Arms over domains; `home` is the domain that adapters were trained on."""

    domains: Mapping[str, DomainView] = Field(min_length=2, description="in the order of the table")
    home: str = Field("social", description="where the trained arms learned")
    base: Slug = Field("zero_shot", description="the arm that gains are measured from")
    trained: tuple[Slug, ...] = Field(min_length=1, description="arms with an adapter")
    ks: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1, description="candidates shown")
    resamples: int = Field(10_000, ge=100, description="bootstrap resamples")
    seed: int = Field(0, ge=0, description="of the bootstrap")

    @model_validator(mode="after")
    def _home_is_a_domain(self) -> CrossDomainSpec:
        if self.home not in self.domains:
            raise ValueError(f"home {self.home!r} is none of the domains {', '.join(self.domains)}")
        if self.base in self.trained:
            raise ValueError(f"base {self.base!r} is among the trained arms: gains over itself are 0")
        return self
