"""The stage that trains an SFT adapter further by policy gradient on groups of samples (GRPO, set objectives).

    L = -(1/B) sum_i (1/T) sum_t [ A_i rho_it - beta KL_it ],   rho = pi(y_it) / stop_grad(pi(y_it)) = 1 in value

B completions, T the most tokens that one may have; A_i from `set_objectives`; KL is the k3 estimate against the SFT
adapter that the run started from. Loss, KL and optimisation are TRL's (`dr_grpo`: no scaling by spread or length, as
both would bias a set objective). Dropout is off: the policy that is differentiated is the one that was sampled.

A killed run goes on from its last complete checkpoint and ends in the same adapter, bit for bit: prompts are laid out
beforehand, draws are keyed by step, and every optimizer step has its own generation, so no checkpoint falls inside
one. Against other machines or thread counts the last bits of matrix products differ, and with them the run.

Source: Shao et al. 2024, arXiv:2402.03300 (GRPO); Liu et al. 2025, arXiv:2503.20783 (Dr. GRPO).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from polymlops.config.grpo import GRPOConfig, GRPOSpec
from polymlops.data.prompts import chat, prompts_of
from polymlops.errors import InputError, TrainingError
from polymlops.generation.encoding import encode_chat
from polymlops.models.checkpoints import MARKER, latest_complete
from polymlops.models.loading import check_base, load_base, load_tokenizer, weights_digest
from polymlops.models.progress import use_quiet_progress
from polymlops.records import Job
from polymlops.training.adapter_files import save_adapter
from polymlops.training.dynamics import DynamicsCallback, DynamicsProbe
from polymlops.training.history import HistoryCallback
from polymlops.training.memory import fit_memory
from polymlops.training.placement import placement
from polymlops.training.polychromic import cosine_distances, lexical_distances
from polymlops.training.rewards import RewardScores, values_of

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import PeftModel
    from transformers import PreTrainedTokenizerFast

    from polymlops.training.grpo_alarms import Alarm

RewardFunction = Callable[[Sequence[str], Sequence[str]], "np.ndarray | RewardScores"]
# A prompt and its K completions -> pairwise distances in [0, 1], (K, K).
GroupDistances = Callable[[str, Sequence[str]], "np.ndarray"]
START_KL = 1e-6  # nats; rounding of two equal forward passes lies orders of magnitude below
CHECKED_PROMPTS = 4


def train_grpo(
    spec: GRPOSpec,
    base: Path,
    start: Path,
    dataset: Path,
    reward: RewardFunction,
    job: Job,
    distances: GroupDistances | None = None,
) -> dict[str, float]:
    """Train the SFT adapter in `start` on the rewards of its own samples and write the new one to `job.output`.

    Args:
        spec: arm, seed and every setting that the result depends on.
        base: folder of the base model, its tokenizer and encoder.
        start: folder of the SFT adapter; also the reference of the KL.
        dataset: folder of the split parquet files.
        reward: (posts, replies) -> one finite number for each, higher is better; parts of it are logged by name.
        job: where the adapter goes; checkpoints lie in its scratch folder.
        distances: what sets are compared by, where the spec's distance is `program`.

    Returns: reward, KL, diversity of the last window, the step kept, whether an alarm stopped it (adapter.json: why).

    Raises:
        InputError: an adapter of another base, an empty split, a prompt that does not fit the context.
        TrainingError: nothing is trainable, the start is not the SFT adapter, a bad reward, or the loss diverged.
    """

    def trained(micro_batch: int, job: Job) -> Any:
        grpo = spec.grpo.model_copy(update={"micro_batch": micro_batch})
        fitting = spec.model_copy(update={"grpo": grpo})
        trainer = build_grpo_trainer(fitting, base, start, dataset, reward, job, distances)
        checkpoint = latest_complete(job.scratch / "checkpoints")
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        return trainer

    trainer = fit_memory(trained, spec.grpo.completions, spec.grpo.micro_batch, job)
    alarm = trainer.alarms.alarm
    kept = _keep_best(trainer, alarm, start, job) if alarm else int(trainer.state.global_step)
    _save(trainer, spec, base, start, job, kept, alarm)
    last = next(entry for entry in reversed(trainer.state.log_history) if "kl" in entry)
    result = {f"train/{key}": float(last[key]) for key in ("reward", "kl", "diversity")}
    return {**result, "train/kept_step": float(kept), "train/alarm": float(alarm is not None)}


def build_grpo_trainer(
    spec: GRPOSpec,
    base: Path,
    start: Path,
    dataset: Path,
    reward: RewardFunction,
    job: Job,
    distances: GroupDistances | None = None,
) -> Any:
    """The trainer of a spec, checked and ready to train; raises as `train_grpo`, but for what needs a step."""
    import transformers

    from polymlops.training.grpo_alarms import AlarmCallback

    transformers.set_seed(spec.seed)
    tokenizer = load_tokenizer(base)
    model = warm_start(base, start)
    prompts = _prompts(spec, dataset)
    encoded = _fitting(prompts, spec.grpo, tokenizer, int(model.config.max_position_embeddings))
    callbacks: list[Any] = [HistoryCallback(job.log)]
    if spec.dynamics.track:
        probe = replace(
            DynamicsProbe.create(spec, base, dataset, tokenizer), reward=lambda *pair: values_of(reward(*pair))
        )
        callbacks.append(DynamicsCallback(probe, job.scratch / "dynamics", spec.dynamics.frequency, job.log))
    trainer = _trainer_class(spec, job)(
        spec.grpo,
        reward,
        _distances(spec.grpo, base, distances),
        AlarmCallback(spec.grpo.alarms, job.scratch / "dynamics"),
        model=model,
        args=_arguments(spec, model, job.scratch / "checkpoints"),
        train_dataset=_schedule(prompts, spec),
        processing_class=tokenizer,
        callbacks=callbacks,
    )
    use_quiet_progress(trainer, job.progress)
    _check_start(trainer, encoded, spec)
    return trainer


def _trainer_class(spec: GRPOSpec, job: Job) -> Callable[..., Any]:
    """TRL's trainer on set objectives; where gradients are recorded, the one that shows them on the way."""
    if not spec.gradients.track:
        from polymlops.training.grpo_trainer import SetTrainer

        return SetTrainer
    from polymlops.training.gradient_norms import recorder
    from polymlops.training.grpo_gradients import WatchedSetTrainer

    return partial(WatchedSetTrainer, gradients=recorder(spec.gradients, job))


def warm_start(base: Path, start: Path) -> PeftModel:
    """The base with the adapter of `start`, trainable.

    Raises: InputError for an adapter of another base, TrainingError where not all of its weights arrived.
    """
    import torch
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors.torch import load_file

    check_base(base, start)
    model = PeftModel.from_pretrained(load_base(base), str(start), is_trainable=True)
    stored = load_file(start / "adapter_model.safetensors")
    loaded = get_peft_model_state_dict(model, save_embedding_layers=False)
    if stored.keys() != loaded.keys() or not all(torch.equal(stored[name], loaded[name]) for name in stored):
        raise TrainingError(f"{start}: the model does not hold the adapter's weights; was it saved by another version?")
    return model


def _check_start(trainer: Any, encoded: Sequence[Sequence[int]], spec: GRPOSpec) -> None:
    if not any(parameter.requires_grad for parameter in trainer.model.parameters()):
        raise TrainingError(f"{spec.arm}: nothing is trainable")
    divergence = trainer.start_kl(encoded[:CHECKED_PROMPTS])
    if not divergence < START_KL:
        raise TrainingError(f"{spec.arm}: KL to the SFT adapter is {divergence:g} at step 0, not below {START_KL:g}")


def _prompts(spec: GRPOSpec, dataset: Path) -> list[str]:
    prompts = [prompt.text for prompt in prompts_of(dataset, "train_grpo", 10**9, spec.seed)]
    if not prompts:
        raise InputError(
            f"{dataset}: the train_grpo split is empty; raise data.split.train_grpo or the number of posts"
        )
    return prompts


def _fitting(
    prompts: Sequence[str], grpo: GRPOConfig, tokenizer: PreTrainedTokenizerFast, context: int
) -> list[list[int]]:
    encoded = [encode_chat(tokenizer, chat(prompt)) for prompt in prompts]
    longest = max(encoded, key=len)
    if len(longest) + grpo.max_new_tokens > context:
        raise InputError(
            f"a prompt of {len(longest)} tokens and grpo.max_new_tokens = {grpo.max_new_tokens} exceed the context of "
            f"{context}: {prompts[encoded.index(longest)][:60]!r}"
        )
    return encoded


def _schedule(prompts: Sequence[str], spec: GRPOSpec) -> Dataset:
    """The prompts of all steps, one row each: every pass over the split in an order of its own, none shuffled later."""
    from datasets import Dataset

    wanted = spec.grpo.steps * spec.grpo.prompts
    rng = np.random.default_rng(spec.seed)
    order = np.concatenate([rng.permutation(len(prompts)) for _ in range(math.ceil(wanted / len(prompts)))])
    return Dataset.from_list([{"prompt": chat(prompts[i])} for i in order[:wanted]])


def _distances(grpo: GRPOConfig, base: Path, brought: GroupDistances | None) -> GroupDistances:
    if grpo.distance == "program":
        if brought is None:
            raise InputError("distance program: these completions are no programs: use embedding or lexical")
        return brought
    if grpo.distance == "lexical":
        return lambda _, texts: lexical_distances(texts)
    from polymlops.models.encoder import embed, load_encoder

    encoder = load_encoder(base / "encoder")
    return lambda _, texts: cosine_distances(embed(encoder, texts))


def _arguments(spec: GRPOSpec, model: PeftModel, checkpoints: Path) -> Any:
    from trl import GRPOConfig as Arguments

    grpo = spec.grpo
    return Arguments(
        output_dir=str(checkpoints),
        max_steps=grpo.steps,
        per_device_train_batch_size=grpo.micro_batch,
        gradient_accumulation_steps=grpo.completions // grpo.micro_batch,
        num_generations=grpo.samples,
        num_iterations=1,
        max_completion_length=grpo.max_new_tokens,
        temperature=grpo.temperature,
        beta=grpo.beta,
        loss_type="dr_grpo",
        scale_rewards="none",
        disable_dropout=True,
        learning_rate=grpo.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=grpo.warmup,
        shuffle_dataset=False,
        activation_checkpointing=grpo.gradient_checkpointing,
        **placement(model),
        logging_steps=grpo.log_every,
        save_steps=grpo.checkpoint_every,
        save_total_limit=None,  # an alarm goes back to the best of all
        seed=spec.seed,
        report_to=[],
    )


def _keep_best(trainer: Any, alarm: Alarm, start: Path, job: Job) -> int:
    """Load the best weights from before the alarm and return their step; without a checkpoint, those of the start."""
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    from polymlops.training.grpo_alarms import best_step

    folder = job.scratch / "checkpoints"
    steps = [int(path.parent.name.split("-")[1]) for path in folder.glob(f"checkpoint-*/{MARKER}")]
    kept = best_step(steps, trainer.state.log_history, alarm, job.scratch / "dynamics")
    weights = (folder / f"checkpoint-{kept}" if kept else start) / "adapter_model.safetensors"
    set_peft_model_state_dict(trainer.model, load_file(weights), adapter_name="default")
    return kept


def _save(trainer: Any, spec: GRPOSpec, base: Path, start: Path, job: Job, kept: int, alarm: Alarm | None) -> None:
    """The adapter and what describes it, without the reference that TRL keeps beside it."""
    trainer.model.delete_adapter("ref")
    about = {
        "start_weights_sha256": weights_digest(start),
        "kept_step": kept,
        "alarm": asdict(alarm) if alarm else None,
    }
    save_adapter(trainer, spec.arm, spec.seed, base, job, **about)
