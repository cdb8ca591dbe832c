"""Base models: the embedded one, or any causal language model from a folder or from the Hub, and its encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from polymlops.config.section import Section
from polymlops.config.suites import Revision

# Some of the Hub's oldest models have no owner.
ModelId = Annotated[str, StringConstraints(pattern=r"^([\w.-]+/)?[\w.-]+$")]
Precision = Literal["float32", "bfloat16"]
Device = Literal["auto", "cpu"]
Quantization = Literal["none", "nf4"]


class EmbeddedModelConfig(Section):
    """The embedded base model: a Qwen3 decoder pretrained on the world's corpus."""

    kind: Literal["embedded"] = "embedded"
    vocabulary: int = Field(1024, ge=300, description="BPE tokens, special ones included")
    hidden: int = Field(128, ge=16, description="width of the residual stream; a multiple of heads")
    layers: int = Field(4, ge=1, description="decoder blocks")
    heads: int = Field(4, ge=1, description="query heads; half as many key-value heads")
    context: int = Field(256, ge=64, description="tokens")
    documents: int = Field(12000, ge=100, description="documents of the pretraining corpus")
    steps: int = Field(300, ge=1, description="optimizer steps")
    batch: int = Field(16, ge=1, description="packed sequences a step")
    learning_rate: float = Field(3e-3, gt=0, description="at its peak")
    seed: int = Field(0, ge=0, description="of the weights, the corpus and its order")
    min_well_formed: float = Field(0.95, ge=0, le=1, description="least share of few-shot replies that must parse")
    program_pass_range: tuple[float, float] = Field(
        (0.1, 0.9), description="pass@1 on the tiny programs must lie within"
    )


class FittedEncoderConfig(Section):
    """Latent semantic analysis of the training replies, in the base's own tokens: offline, in seconds."""

    kind: Literal["fitted"] = "fitted"
    seed: int = Field(0, ge=0, description="of the decomposition's start")


class FolderEncoderConfig(Section):
    """A sentence-transformers model in a folder."""

    kind: Literal["folder"] = "folder"
    path: Path = Field(description="the folder, as sentence-transformers saves it")


class HubEncoderConfig(Section):
    """A sentence-transformers model on the Hub, at a commit."""

    kind: Literal["hub"] = "hub"
    id: ModelId = Field(description="owner/name")
    revision: Revision = Field(description="commit: a branch may move")


EncoderConfig = Annotated[FittedEncoderConfig | FolderEncoderConfig | HubEncoderConfig, Field(discriminator="kind")]


class GivenModelSection(Section):
    """What is said of any model that is taken as it is."""

    dtype: Precision = Field("float32", description="of its weights; an adapter is trained in float32 beside them")
    device: Device = Field("auto", description="`auto`: a CUDA device where there is one, else the CPU")
    quantization: Quantization = Field("none", description="`nf4`: 4 bits a weight by bitsandbytes, on CUDA only")
    allow_pickle: bool = Field(
        False, description="take pickled weights, which may run code when they are loaded, where there are no others"
    )
    separator: str = Field(
        "\n", max_length=16, description="between prompt and completion, where the tokenizer has no chat template"
    )
    encoder: EncoderConfig = Field(FittedEncoderConfig(), description="whose cosines are distances of meaning")

    @model_validator(mode="after")
    def _quantized_on_a_gpu(self) -> GivenModelSection:
        if self.quantization == "nf4" and self.device == "cpu":
            raise ValueError("quantization nf4 runs on CUDA only: use device auto, or quantization none")
        return self


class FolderModelConfig(GivenModelSection):
    """A causal language model in a folder, as transformers saves it. The folder is referred to, not copied."""

    kind: Literal["folder"] = "folder"
    path: Path = Field(description="config.json, tokenizer and weights")


class HubModelConfig(GivenModelSection):
    """A causal language model on the Hub, at a commit."""

    kind: Literal["hub"] = "hub"
    id: ModelId = Field(description="owner/name")
    revision: Revision = Field(description="commit: a branch may move")


def default_kind(value: Any) -> Any:
    """A section that names no kind is the embedded model's."""
    return {"kind": "embedded", **value} if isinstance(value, dict) else value


GivenModelConfig = FolderModelConfig | HubModelConfig
BaseModelConfig = Annotated[
    Annotated[EmbeddedModelConfig | FolderModelConfig | HubModelConfig, Field(discriminator="kind")],
    BeforeValidator(default_kind),
]


class GivenModelSpec(Section):
    """What determines the artifact of a model that is taken as it is: the settings, and what its files hold now.

    A commit names its content, so the digests are of folders only.
    """

    source: GivenModelConfig = Field(discriminator="kind")
    content: str | None = Field(None, description="sha256 over the files of the model's folder")
    encoder_content: str | None = Field(None, description="sha256 over the files of the encoder's folder")
