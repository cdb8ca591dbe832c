"""The stage that makes the embedded base model: tokenizer, encoder, pretraining, and the checks that it must pass."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from polymlops.config.schema import BaseModelConfig
from polymlops.data.splits import SPLITS
from polymlops.data.prompts import load_split
from polymlops.data.world_documents import Document, pretraining_documents
from polymlops.errors import DataQualityError
from polymlops.models.base import create_base_model
from polymlops.models.checkpoints import MarkComplete, latest_complete
from polymlops.models.encoder import train_encoder
from polymlops.models.progress import use_quiet_progress
from polymlops.models.tokenizer import train_tokenizer
from polymlops.records import Job
from polymlops.training.base_checks import program_pass_at_1, well_formed_share
from polymlops.training.history import HistoryCallback

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerFast

IGNORED = -100


def build_base_model(config: BaseModelConfig, dataset: Path, job: Job) -> dict[str, float]:
    """Pretrain the base model on the world's corpus and write it, its tokenizer and its encoder to `job.output`.

    No post of the dataset occurs in the corpus.

    Raises:
        DataQualityError: the model does not speak the world well enough (config: min_well_formed, program_pass_range).
    """
    posts = frozenset(post for split in SPLITS for post in load_split(dataset, split)["post"])
    documents = list(pretraining_documents(config.seed, config.documents, posts))
    texts = [content for document in documents for _, content in document.messages]
    tokenizer = train_tokenizer(texts, config.vocabulary)
    model = _pretrain(config, documents, tokenizer, job)
    model.save_pretrained(job.output, safe_serialization=True)
    tokenizer.save_pretrained(job.output)
    replies = [document.messages[-1][1] for document in documents if document.kind != "program"]
    train_encoder(replies, tokenizer, config.seed).save_pretrained(str(job.output / "encoder"))
    return _check(config, model, tokenizer, dataset, job)


def _check(config: BaseModelConfig, model: Any, tokenizer: PreTrainedTokenizerFast, dataset: Path, job: Job) -> Any:
    report = {
        "base/few_shot_well_formed": well_formed_share(model, tokenizer, dataset, config.seed),
        "base/program_pass_at_1": program_pass_at_1(model, tokenizer, config.seed),
        "base/parameters": float(model.num_parameters()),
    }
    (job.output / "report.json").write_text(json.dumps(report, indent=1))
    if report["base/few_shot_well_formed"] < config.min_well_formed:
        raise DataQualityError(
            f"only {report['base/few_shot_well_formed']:.3f} of the base model's few-shot replies parse, "
            f"{config.min_well_formed} are asked for; raise base_model.steps"
        )
    low, high = config.program_pass_range
    if not low <= report["base/program_pass_at_1"] <= high:
        raise DataQualityError(
            f"the base model's pass@1 on tiny programs is {report['base/program_pass_at_1']:.3f}, outside "
            f"[{low}, {high}] (base_model.program_pass_range)"
        )
    return report


def _pretrain(
    config: BaseModelConfig, documents: Sequence[Document], tokenizer: PreTrainedTokenizerFast, job: Job
) -> Any:
    import transformers
    from datasets import Dataset

    transformers.set_seed(config.seed)
    rows = pack([encode_document(document, tokenizer) for document in documents], config.context, tokenizer.pad_token_id)
    trainer = transformers.Trainer(
        model=create_base_model(config, tokenizer),
        args=_arguments(config, job.scratch / "checkpoints"),
        train_dataset=Dataset.from_dict(rows).with_format("torch"),
        callbacks=[MarkComplete(), HistoryCallback(job.log)],
    )
    use_quiet_progress(trainer)
    checkpoint = latest_complete(job.scratch / "checkpoints")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return trainer.model.eval()


def _arguments(config: BaseModelConfig, checkpoints: Path) -> Any:
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=str(checkpoints),
        max_steps=config.steps,
        per_device_train_batch_size=config.batch,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.05,
        weight_decay=0.01,
        adam_beta2=0.98,
        use_cpu=True,
        logging_steps=20,
        save_steps=100,
        save_total_limit=2,
        seed=config.seed,
        report_to=[],
    )


def encode_document(document: Document, tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Tokens of a document as a chat, closed by the end of text."""
    messages = [{"role": role, "content": content} for role, content in document.messages]
    text = tokenizer.apply_chat_template(messages, tokenize=False) + tokenizer.pad_token
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def pack(encoded: Sequence[Sequence[int]], width: int, pad: int) -> dict[str, NDArray[np.int64]]:
    """Whole documents into rows of `width` tokens, first fit in order; longer documents are cut.

    Returns `input_ids`, `attention_mask` and `labels` (-100 on padding), each (rows, width).
    """
    rows: list[list[int]] = []
    open_rows: list[list[int]] = []
    for document in encoded:
        tokens = list(document[:width])
        row = next((row for row in open_rows if len(row) + len(tokens) <= width), None)
        if row is None:
            row = []
            rows.append(row)
            open_rows = [*open_rows[-7:], row]
        row.extend(tokens)
    ids = np.full((len(rows), width), pad)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": np.where(mask == 1, ids, IGNORED)}
