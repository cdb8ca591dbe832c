"""The other candidate of the reward model: the base model fine-tuned on (post, reply) by sentence-transformers."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from polymlops.config.rewards import CrossEncoderConfig
from polymlops.data.prompts import chat
from polymlops.models.loading import load_tokenizer
from polymlops.models.progress import use_quiet_progress
from polymlops.models.references import model_folder

if TYPE_CHECKING:
    from polymlops.metrics.arrays import Floats


@dataclass(frozen=True)
class CrossEncoderModel:
    """One or more fine-tuned members; each predicts the target standardised by `mean` and `spread`."""

    members: tuple[Any, ...]
    mean: float
    spread: float

    def predict(self, posts: Sequence[str], replies: Sequence[str]) -> Floats:
        """Expected target of K pairs by each member, (M, K)."""
        from torch import nn

        scores = [
            model.predict(
                _pairs(model.tokenizer, posts, replies),
                activation_fn=nn.Identity(),
                show_progress_bar=False,
                convert_to_tensor=True,
            ).numpy()
            for model in self.members
        ]
        return self.mean + self.spread * np.array(scores, dtype=np.float64).reshape(len(self.members), len(posts))

    def save(self, folder: Path) -> None:
        """Write every member as `cross_encoder-<number>`, in float32 safetensors."""
        for number, model in enumerate(self.members):
            model.float().save_pretrained(str(folder / f"cross_encoder-{number}"), create_model_card=False)
            model.double()


def load_cross_encoder(folder: Path, members: int, mean: float, spread: float) -> CrossEncoderModel:
    """Read what `CrossEncoderModel.save` wrote."""
    models = tuple(_open(folder / f"cross_encoder-{number}") for number in range(members))
    return CrossEncoderModel(tuple(model.double() for model in models), mean, spread)


def fit_cross_encoder(
    config: CrossEncoderConfig,
    base: Path,
    scratch: Path,
    samples: Sequence[tuple[Sequence[str], Sequence[str], Floats]],
    seed: int,
) -> CrossEncoderModel:
    """Fine-tune one member on each sample of (posts, replies, target); all predict on the scale of the first."""
    mean, spread = float(samples[0][2].mean()), float(samples[0][2].std()) or 1.0
    members = tuple(
        _train(config, base, scratch, (posts, replies, (target_N - mean) / spread), seed + number)
        for number, (posts, replies, target_N) in enumerate(samples)
    )
    return CrossEncoderModel(members, mean, spread)


def _train(
    config: CrossEncoderConfig,
    base: Path,
    scratch: Path,
    sample: tuple[Sequence[str], Sequence[str], Floats],
    seed: int,
) -> Any:
    import transformers
    from datasets import Dataset
    from sentence_transformers.cross_encoder import CrossEncoderTrainer
    from sentence_transformers.cross_encoder.losses import MSELoss

    transformers.set_seed(seed)
    model = _start(base, scratch / "start", config.max_tokens)
    posts, replies, target_N = sample
    pairs = _pairs(model.tokenizer, posts, replies)
    rows = {"post": [post for post, _ in pairs], "reply": [reply for _, reply in pairs], "label": target_N.tolist()}
    trainer = CrossEncoderTrainer(
        model=model,
        args=_arguments(config, scratch / "trainer", seed),
        train_dataset=Dataset.from_dict(rows),
        loss=MSELoss(model),
    )
    use_quiet_progress(trainer)
    trainer.train()
    return model.eval().double()


def _start(base: Path, folder: Path, max_tokens: int) -> Any:
    """The base with a regression head of zeros in place of its vocabulary, as a CrossEncoder."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(
        model_folder(base), config=AutoConfig.from_pretrained(base, num_labels=1), dtype=torch.float32
    )
    with torch.no_grad():
        model.score.weight.zero_()
    model.save_pretrained(folder)
    tokenizer = load_tokenizer(base)
    tokenizer.padding_side = "right"
    tokenizer.model_max_length = min(max_tokens, int(model.config.max_position_embeddings))
    tokenizer.save_pretrained(folder)
    opened = _open(folder)
    shutil.rmtree(folder)
    return opened


def _open(folder: Path) -> Any:
    from sentence_transformers import CrossEncoder

    return CrossEncoder(str(folder), device="cpu", local_files_only=True)


def _pairs(tokenizer: Any, posts: Sequence[str], replies: Sequence[str]) -> list[tuple[str, str]]:
    """Posts and replies as the base has seen them: two turns of a chat, joined where the reply begins."""
    turns = [tokenizer.apply_chat_template(chat(post), tokenize=False, add_generation_prompt=True) for post in posts]
    return [(turn, reply + tokenizer.eos_token) for turn, reply in zip(turns, replies, strict=True)]


def _arguments(config: CrossEncoderConfig, folder: Path, seed: int) -> Any:
    from sentence_transformers.cross_encoder import CrossEncoderTrainingArguments

    return CrossEncoderTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=config.warmup,
        use_cpu=True,
        bf16=False,
        fp16=False,
        save_strategy="no",
        logging_steps=20,
        seed=seed,
        report_to=[],
    )
