"""The stage that trains an adapter: plain supervised fine-tuning, or polychromic with the diversity term on top.

The baseline and `lambda = 0` take the same path, operation by operation. Evaluation loss is cross-entropy alone and
samples nothing. A killed run goes on from its last complete checkpoint, with the same batches, learning rates and
random states.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polymlops.config.slices import AdapterSpec
from polymlops.data.prompts import chat, load_split
from polymlops.errors import TrainingError
from polymlops.generation.encoding import decode
from polymlops.models.checkpoints import MarkComplete, latest_complete
from polymlops.models.loading import load_base, load_tokenizer
from polymlops.models.progress import use_quiet_progress
from polymlops.records import Job
from polymlops.training.adapter_files import save_adapter
from polymlops.training.dynamics import DynamicsCallback, DynamicsProbe
from polymlops.training.history import HistoryCallback
from polymlops.training.memory import fit_memory
from polymlops.training.placement import OwnDropout, placement
from polymlops.training.polychromic import DiversityTerm, cosine_distances, lexical_distances

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import PeftModel
    from transformers import PreTrainedTokenizerFast

EVAL_ROWS = 256  # rows of the validation split behind the evaluation loss
EVAL_BATCHES = 4  # micro-batches that are evaluated together: no gradients are kept


def train_adapter(spec: AdapterSpec, base: Path, dataset: Path, job: Job) -> dict[str, float]:
    """Train one LoRA adapter and write it with its dynamics and history to `job.output`.

    Args:
        spec: arm, seed and every setting that the result depends on.
        base: folder of the base model, its tokenizer and encoder.
        dataset: folder of the split parquet files.
        job: where the adapter goes; checkpoints lie in its scratch folder.

    Raises:
        TrainingError: nothing is trainable, or the loss became NaN.
    """
    sft = spec.sft
    trainer = fit_memory(partial(_trained, spec, base, dataset), sft.batch // sft.processes, sft.micro_batch, job)
    final = trainer.evaluate()
    if not final["eval_loss"] == final["eval_loss"]:
        raise TrainingError(f"{spec.arm}: the evaluation loss is NaN; lower sft.learning_rate or polychromic.lambda")
    save_adapter(trainer, spec.arm, spec.seed, base, job)
    return {"train/eval_loss": float(final["eval_loss"])}


def _trained(spec: AdapterSpec, base: Path, dataset: Path, micro_batch: int, job: Job) -> Any:
    """The trainer after its last step, from the last checkpoint on where there is one."""
    sft = spec.sft.model_copy(update={"micro_batch": micro_batch})
    trainer = build_trainer(spec.model_copy(update={"sft": sft}), base, dataset, job, load_tokenizer(base))
    checkpoint = latest_complete(job.scratch / "checkpoints")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return trainer


def build_trainer(spec: AdapterSpec, base: Path, dataset: Path, job: Job, tokenizer: PreTrainedTokenizerFast) -> Any:
    """The TRL trainer of a spec, ready to train: TRL's SFTTrainer with the diversity term added in `compute_loss`."""
    import transformers

    transformers.set_seed(spec.seed)
    model = attach_lora(base, spec)
    probe = DynamicsProbe.create(spec, base, dataset, tokenizer) if spec.dynamics.track else None
    callbacks: list[Any] = [MarkComplete(), OwnDropout(spec.seed), HistoryCallback(job.log)]
    if probe is not None:
        callbacks.append(DynamicsCallback(probe, job.scratch / "dynamics", spec.dynamics.frequency, job.log))
    trainer = _trainer_class(spec, job)(
        model=model,
        args=_arguments(spec, model, job.scratch / "checkpoints"),
        train_dataset=_conversations(dataset, "train_sft"),
        eval_dataset=_conversations(dataset, "validation", EVAL_ROWS),
        processing_class=tokenizer,
        callbacks=callbacks,
        diversity=_diversity_term(spec, base, tokenizer),
    )
    use_quiet_progress(trainer, job.progress)
    return trainer


def _trainer_class(spec: AdapterSpec, job: Job) -> Callable[..., Any]:
    """TRL's trainer with the diversity term; where gradients are recorded, the one that shows them on the way."""
    if not spec.gradients.track:
        from polymlops.training.sft_trainer import PolychromicTrainer

        return PolychromicTrainer
    from polymlops.training.gradient_norms import recorder
    from polymlops.training.sft_gradients import WatchedSFTTrainer

    return partial(WatchedSFTTrainer, gradients=recorder(spec.gradients, job))


def attach_lora(base: Path, spec: AdapterSpec) -> PeftModel:
    """A fresh LoRA adapter on the base; torch has been seeded by the caller."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=spec.lora.r,
        lora_alpha=spec.lora.alpha,
        lora_dropout=spec.lora.dropout,
        target_modules=list(spec.lora.target_modules),
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(load_base(base), config)
    except ValueError as error:  # PEFT's: no module of that name
        raise TrainingError(f"{spec.arm}: nothing to train; check lora.target_modules: {error}") from error


def _diversity_term(spec: AdapterSpec, base: Path, tokenizer: PreTrainedTokenizerFast) -> DiversityTerm | None:
    if spec.polychromic is None or spec.polychromic.lambda_ == 0:
        return None
    distances: Any = lexical_distances
    if spec.polychromic.distance == "embedding":
        from polymlops.models.encoder import embed, load_encoder

        encoder = load_encoder(base / "encoder")

        def distances(texts: Any) -> Any:
            return cosine_distances(embed(encoder, texts))

    return DiversityTerm(spec.polychromic, partial(decode, tokenizer), distances)


def _conversations(dataset: Path, split: str, limit: int | None = None) -> Dataset:
    from datasets import Dataset

    frame = load_split(dataset, split).head(limit) if limit else load_split(dataset, split)
    rows = [
        {"prompt": chat(post), "completion": [{"role": "assistant", "content": reply}]}
        for post, reply in zip(frame["post"], frame["reply"], strict=True)
    ]
    return Dataset.from_list(rows)


def _arguments(spec: AdapterSpec, model: PeftModel, checkpoints: Path) -> Any:
    from trl import SFTConfig as Arguments

    sft = spec.sft
    return Arguments(
        output_dir=str(checkpoints),
        num_train_epochs=sft.epochs,
        per_device_train_batch_size=sft.micro_batch,
        per_device_eval_batch_size=EVAL_BATCHES * sft.micro_batch,
        gradient_accumulation_steps=sft.batch // (sft.micro_batch * sft.processes),
        learning_rate=sft.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=sft.warmup,
        max_length=sft.max_tokens,
        completion_only_loss=True,
        packing=False,
        activation_checkpointing=sft.gradient_checkpointing,
        **placement(model),
        logging_steps=sft.log_every,
        save_steps=sft.checkpoint_every,
        save_total_limit=2,
        eval_strategy="no",
        seed=spec.seed,
        report_to=[],
        dataloader_num_workers=0,
    )
