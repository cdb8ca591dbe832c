"""The stage that makes the embedded base model: tokenizer, encoder, pretraining, and the checks that it must pass."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from polymlops.config.base_models import EmbeddedModelConfig
from polymlops.data.prompts import load_split
from polymlops.data.splits import SPLITS
from polymlops.data.truth import knows_truth
from polymlops.data.world_documents import Document, pretraining_documents
from polymlops.errors import DataQualityError
from polymlops.models.base import create_base_model
from polymlops.models.checkpoints import MarkComplete, latest_complete
from polymlops.models.encoder import train_encoder
from polymlops.models.progress import use_quiet_progress
from polymlops.models.tokenizer import TURN_START, train_tokenizer
from polymlops.records import Job
from polymlops.training.base_checks import program_pass_at_1, well_formed_share
from polymlops.training.history import HistoryCallback
from polymlops.training.optimizer import MuonAdamW

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerFast

IGNORED = -100
TAUGHT = ("train_sft", "train_grpo")
OPEN_ROWS = 8  # rows that may still take a document


def build_base_model(config: EmbeddedModelConfig, dataset: Path, job: Job) -> dict[str, float]:
    """Pretrain the base model and write it, its tokenizer and its encoder to `job.output`.

    On a dataset of the world the corpus is the world's, and no post of the dataset occurs in it. On any other it is
    the text of the splits that policies are trained on; `documents` and the checks of the world have no part then.

    Raises:
        DataQualityError: the model does not speak the world well enough (config: min_well_formed, program_pass_range).
    """
    documents = _corpus(config, dataset)
    texts = [content for document in documents for _, content in document.messages]
    tokenizer = train_tokenizer(texts, config.vocabulary)
    model = _pretrain(config, documents, tokenizer, job)
    model.save_pretrained(job.output, safe_serialization=True)
    tokenizer.save_pretrained(job.output)
    replies = [document.messages[-1][1] for document in documents if document.kind != "program"]
    train_encoder(replies, tokenizer, config.seed).save_pretrained(str(job.output / "encoder"))
    return _check(config, model, tokenizer, dataset, job)


def _corpus(config: EmbeddedModelConfig, dataset: Path) -> list[Document]:
    if not knows_truth(dataset):
        return dataset_documents(dataset)
    posts = frozenset(post for split in SPLITS for post in load_split(dataset, split)["post"])
    return list(pretraining_documents(config.seed, config.documents, posts))


def dataset_documents(dataset: Path) -> list[Document]:
    """Every post with its reply of the splits that policies are trained on, as conversations."""
    pairs = (load_split(dataset, split).select("post", "reply").iter_rows() for split in TAUGHT)
    return [Document("social", (("user", post), ("assistant", reply))) for rows in pairs for post, reply in rows]


def _check(config: EmbeddedModelConfig, model: Any, tokenizer: PreTrainedTokenizerFast, dataset: Path, job: Job) -> Any:
    if not knows_truth(dataset):
        report = {"base/parameters": float(model.num_parameters())}
        (job.output / "report.json").write_text(json.dumps(report, indent=1))
        return report
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
    config: EmbeddedModelConfig, documents: Sequence[Document], tokenizer: PreTrainedTokenizerFast, job: Job
) -> Any:
    import transformers
    from datasets import Dataset

    transformers.set_seed(config.seed)
    encoded = [encode_document(document, tokenizer) for document in documents]
    rows = pack([(tokens, answer_labels(tokens, tokenizer)) for tokens in encoded], config.context)
    model = create_base_model(config, tokenizer)
    trainer = transformers.Trainer(
        model=model,
        args=_arguments(config, job.scratch / "checkpoints"),
        train_dataset=Dataset.from_dict(rows).with_format("torch"),
        optimizers=(MuonAdamW(model, config.learning_rate), None),  # the trainer makes the schedule
        callbacks=[MarkComplete(), HistoryCallback(job.log)],
    )
    use_quiet_progress(trainer, job.progress)
    checkpoint = latest_complete(job.scratch / "checkpoints")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return model.eval()


def _arguments(config: EmbeddedModelConfig, checkpoints: Path) -> Any:
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=str(checkpoints),
        max_steps=config.steps,
        per_device_train_batch_size=config.batch,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.05,
        use_cpu=True,
        logging_steps=20,
        save_steps=100,
        save_total_limit=2,
        seed=config.seed,
        report_to=[],
    )


def encode_document(document: Document, tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Tokens of a document as a chat."""
    messages = [{"role": role, "content": content} for role, content in document.messages]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def answer_labels(tokens: Sequence[int], tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """The tokens of the assistant's turns, their end token included; -100 elsewhere.

    Posts and prompts are drawn at random: predicting them teaches nothing and costs most of the loss.
    """
    header = tokenizer(f"{TURN_START}assistant\n", add_special_tokens=False)["input_ids"]
    end = tokenizer.eos_token_id
    labels, inside = [], False
    for index, token in enumerate(tokens):
        inside = inside or list(tokens[index - len(header) : index]) == header
        labels.append(token if inside else IGNORED)
        inside = inside and token != end
    return labels


def pack(documents: Sequence[tuple[Sequence[int], Sequence[int]]], width: int) -> dict[str, NDArray[np.int64]]:
    """Whole documents (tokens, labels) into rows of `width` tokens, first fit in order; longer documents are cut.

    Returns `input_ids` (0 on padding), `labels` (-100 there) and `position_ids`, each (rows, width). Positions start
    again with every document, which is how transformers knows that no document may attend to its neighbours in the
    row.
    """
    rows: list[list[tuple[int, int, int]]] = []
    for tokens, labels in documents:
        triples = list(zip(tokens[:width], labels[:width], range(width), strict=False))
        row = next((row for row in rows[-OPEN_ROWS:] if len(row) + len(triples) <= width), None)
        if row is None:
            rows.append(row := [])
        row.extend(triples)
    padded = [row + [(0, IGNORED, position) for position in range(width - len(row))] for row in rows]
    ids, labels_, positions = np.moveaxis(np.array(padded, dtype=np.int64), 2, 0)
    return {"input_ids": ids, "labels": labels_, "position_ids": positions}
