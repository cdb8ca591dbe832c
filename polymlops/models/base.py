"""The embedded base model: a Qwen3-architecture decoder of about one million parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polymlops.config.base_models import EmbeddedModelConfig

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM


def create_base_model(config: EmbeddedModelConfig, tokenizer: PreTrainedTokenizerFast) -> Qwen3ForCausalLM:
    """A freshly initialised model; the caller has seeded torch. Embeddings are tied."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    architecture = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=config.hidden,
        intermediate_size=3 * config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=max(1, config.heads // 2),
        head_dim=config.hidden // config.heads,
        max_position_embeddings=config.context,
        initializer_range=0.06,  # for a width of 128; transformers' 0.02 is for one of thousands
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Qwen3ForCausalLM(architecture)
