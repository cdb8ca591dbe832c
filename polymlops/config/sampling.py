"""How candidates are drawn: the sample sets of every arm, and the small ones that are measured during training."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializationInfo, SerializerFunctionWrapHandler, model_serializer, model_validator

from polymlops.config.input_files import BY_CONTENT
from polymlops.config.section import Section


class SamplingConfig(Section):
    """Decoding of the sample sets; the same for every arm."""

    n: int = Field(10, ge=1, description="candidates a prompt")
    temperature: float = Field(0.7, gt=0, description="divides the logits")
    top_p: float = Field(
        0.9, gt=0, le=1, description="least mass of the likeliest tokens that are drawn from; 1 is off"
    )
    top_k: int = Field(0, ge=0, description="likeliest tokens that are drawn from; 0 is off")
    max_new_tokens: int = Field(64, ge=1, description="tokens of a candidate, its end included; a longer one is cut")
    prompts: int = Field(100, ge=1, description="prompts of the test split, at most")
    shard_prompts: int = Field(25, ge=1, description="prompts a shard; a killed run goes on at the first missing shard")
    batch: int = Field(256, ge=1, description="sequences decoded together")
    few_shot: int = Field(3, ge=1, description="examples in the few-shot prompt")
    seed: int = Field(1234, ge=0, description="of the choice of prompts, and of every draw, with the prompt's id")
    engine: Literal["transformers", "vllm"] = Field(
        "transformers",
        description="what draws the sample sets: `vllm` is a running `vllm serve` on CUDA, with draws of its own",
    )
    vllm_url: str | None = Field(
        None, pattern="^https?://", description="its address, http://127.0.0.1:8000; changes no result"
    )

    @model_validator(mode="after")
    def _engine_has_an_address(self) -> SamplingConfig:
        if self.engine == "vllm" and self.vllm_url is None:
            raise ValueError("engine vllm needs vllm_url, the address of a running `vllm serve MODEL`")
        return self

    @model_serializer(mode="wrap")
    def _keyed(self, dump: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        """All fields; in a cache key neither the address nor the usual engine, without which the keys were made."""
        values: dict[str, Any] = dump(self)
        if info.context == BY_CONTENT:
            values.pop("vllm_url", None)
            if self.engine == "transformers":
                values.pop("engine", None)
        return values


class PromptBlock(Section):
    """One of several parts of the prompts, all together the whole: each is a run of whole shards."""

    index: int = Field(ge=0, description="counted from 0")
    of: int = Field(ge=2, description="parts")


class DynamicsSpec(Section):
    """Diversity measured during training."""

    track: bool
    frequency: int = Field(ge=1, description="optimizer steps between measurements")
    prompts: int = Field(ge=1, description="validation prompts of a measurement")
    samples: int = Field(ge=2, description="candidates a prompt")
