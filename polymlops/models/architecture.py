"""The shape of a decoder, from its config alone: how many parameters it has, and what its cache takes.

Known are the families whose layers are attention and a gated feed-forward block, each behind a norm: Llama, Mistral,
Qwen2 and Qwen3. Any other is counted as if it were a Llama, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polymlops.config.base_models import EmbeddedModelConfig
from polymlops.errors import InputError

FAMILIES = frozenset({"llama", "mistral", "qwen2", "qwen3"})


@dataclass(frozen=True, slots=True)
class Architecture:
    """Sizes of a decoder. `known` is false where its family's layers may hold more than is counted here."""

    vocabulary: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    tied: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    head_norms: bool = False
    known: bool = True

    @property
    def modules(self) -> dict[str, tuple[int, int]]:
        """Inputs and outputs of the linear maps of a layer, by name."""
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention = {"q_proj": (self.hidden, query), "k_proj": (self.hidden, key), "v_proj": (self.hidden, key)}
        return attention | {
            "o_proj": (query, self.hidden),
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            "down_proj": (self.intermediate, self.hidden),
        }

    @property
    def linear_parameters(self) -> int:
        """Weights of the linear maps in all layers: what quantization makes small."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.modules.values())

    @property
    def parameters(self) -> int:
        """All parameters; a head that is the embedding counts once."""
        outside = self.vocabulary * self.hidden * (1 if self.tied else 2) + self.hidden
        norms = 2 * self.hidden + (2 * self.head_dim if self.head_norms else 0)
        return self.linear_parameters + outside + self.layers * (norms + self._biases)

    @property
    def _biases(self) -> int:
        outputs = {name: size for name, (_, size) in self.modules.items()}
        groups = (
            (self.qkv_bias, ("q_proj", "k_proj", "v_proj")),
            (self.output_bias, ("o_proj",)),
            (self.mlp_bias, ("gate_proj", "up_proj", "down_proj")),
        )
        return sum(outputs[name] for there, names in groups if there for name in names)

    def lora_parameters(self, rank: int, targets: tuple[str, ...]) -> int:
        """Parameters of an adapter; modules that are not known count nothing."""
        sizes = [self.modules[name] for name in targets if name in self.modules]
        return self.layers * rank * sum(inputs + outputs for inputs, outputs in sizes)

    def cache_bytes(self, sequences: int, tokens: int, bytes_each: int) -> int:
        """Keys and values of so many sequences of so many tokens."""
        return 2 * self.layers * self.kv_heads * self.head_dim * sequences * tokens * bytes_each


# Of the packaged profiles' models, for machines that have not fetched their config.json yet.
PUBLISHED = {
    "Qwen/Qwen3-0.6B": Architecture(151936, 1024, 28, 16, 8, 128, 3072, tied=True, head_norms=True),
    "Qwen/Qwen3-8B": Architecture(151936, 4096, 36, 32, 8, 128, 12288, head_norms=True),
}


def read_architecture(folder: Path) -> Architecture:
    """The shape that a folder's config.json describes; no weights are read.

    Raises:
        InputError: there is no config.json, or it is none of a decoder.
    """
    from transformers import AutoConfig

    try:
        config: Any = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{folder}: config.json cannot be used ({first}): name a folder with a model") from error
    return architecture_of(config.get_text_config())


def architecture_of(config: Any) -> Architecture:
    """The shape in a transformers config. Raises InputError where it is none of a decoder."""
    values = config.to_dict()
    family = config.model_type
    try:
        heads, hidden = int(values["num_attention_heads"]), int(values["hidden_size"])
        return Architecture(
            vocabulary=int(values["vocab_size"]),
            hidden=hidden,
            layers=int(values["num_hidden_layers"]),
            heads=heads,
            kv_heads=int(values.get("num_key_value_heads") or heads),
            head_dim=int(values.get("head_dim") or hidden // heads),
            intermediate=int(values["intermediate_size"]),
            tied=bool(config.tie_word_embeddings),
            qkv_bias=family == "qwen2" or bool(values.get("attention_bias")),
            output_bias=family != "qwen2" and bool(values.get("attention_bias")),
            mlp_bias=bool(values.get("mlp_bias")),
            head_norms=family == "qwen3",
            known=family in FAMILIES,
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"a {family} config does not say {error}: it is none of a decoder") from error


def embedded_architecture(config: EmbeddedModelConfig) -> Architecture:
    """The shape of the embedded model, as `create_base_model` builds it."""
    return Architecture(
        vocabulary=config.vocabulary,
        hidden=config.hidden,
        layers=config.layers,
        heads=config.heads,
        kv_heads=max(1, config.heads // 2),
        head_dim=config.hidden // config.heads,
        intermediate=3 * config.hidden,
        tied=True,
        head_norms=True,
    )
