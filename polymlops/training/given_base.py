"""The stage that takes a base model as it is: checked, made ready to be asked, and referred to where it lies.

The artifact holds tokenizer, config, end tokens and encoder; the weights stay in their folder or in the Hub's cache.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polymlops.config.base_models import (
    EncoderConfig,
    FittedEncoderConfig,
    FolderEncoderConfig,
    FolderModelConfig,
    GivenModelConfig,
    GivenModelSpec,
)
from polymlops.data.prompts import load_split
from polymlops.errors import InputError
from polymlops.models.devices import device_of
from polymlops.models.encoder import load_encoder, train_encoder
from polymlops.models.prompt_format import generation_config, prepare_tokenizer
from polymlops.models.references import BaseReference, ModelPlace, write_reference
from polymlops.models.weight_files import content_digest, weight_files, weights_digest
from polymlops.records import Job

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerFast


def given_model_spec(config: GivenModelConfig) -> GivenModelSpec:
    """The settings with digests of the folders that they name, as their files are now.

    Raises:
        InputError: a folder is missing.
    """
    encoder = config.encoder
    return GivenModelSpec(
        source=config,
        content=content_digest(config.path) if isinstance(config, FolderModelConfig) else None,
        encoder_content=content_digest(encoder.path) if isinstance(encoder, FolderEncoderConfig) else None,
    )


def take_base_model(spec: GivenModelSpec, dataset: Path, job: Job) -> dict[str, float]:
    """Write tokenizer, config.json, generation_config.json, encoder/ and reference.json to `job.output`.

    Raises:
        InputError: weights that are missing, cut or pickled, a model that is none or gated, a tokenizer without an end
            token, or what this machine does not have; each with its remedy.
        ArtifactError: the Hub cannot be reached.
    """
    tokenizer, report = take_model(spec, job)
    _write_encoder(spec, tokenizer, dataset, job.output / "encoder")
    return report


def take_model(spec: GivenModelSpec, job: Job) -> tuple[PreTrainedTokenizerFast, dict[str, float]]:
    """The same without an encoder, for work that compares no meanings; the prepared tokenizer and the report."""
    place = _place(spec)
    folder = place.folder()
    files = weight_files(folder, spec.source.allow_pickle)
    reference = BaseReference(
        **place.model_dump() | {"pickled": files[0].suffix == ".bin"},
        weights_sha256=weights_digest(folder),
        **spec.source.model_dump(include={"dtype", "device", "quantization"}),
    )
    device_of(reference)
    tokenizer = prepare_tokenizer(folder, spec.source.separator)
    config = _read_config(folder, tokenizer)
    for part in (tokenizer, config, generation_config(folder, tokenizer)):
        part.save_pretrained(job.output)
    write_reference(reference, job.output)
    report = {
        "base/weights_gib": sum(path.stat().st_size for path in files) / 2**30,
        "base/vocabulary": float(len(tokenizer)),
        "base/context": float(config.max_position_embeddings),
    }
    (job.output / "report.json").write_text(json.dumps(report, indent=1))
    return tokenizer, report


def _place(spec: GivenModelSpec) -> ModelPlace:
    source = spec.source
    if isinstance(source, FolderModelConfig):
        return ModelPlace(path=source.path.resolve(), content=spec.content)
    return ModelPlace(id=source.id, revision=source.revision, pickled=source.allow_pickle)


def _read_config(folder: Path, tokenizer: PreTrainedTokenizerFast) -> PretrainedConfig:
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig

    try:
        config: Any = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{folder}: config.json cannot be used ({first}): is it a transformers model?") from error
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise InputError(f"{folder}: a {config.model_type} model does not continue text: give a causal language model")
    if len(tokenizer) > config.vocab_size:
        raise InputError(
            f"{folder}: the tokenizer has {len(tokenizer)} tokens and the model {config.vocab_size}: "
            "they are not of one model"
        )
    return config


def _write_encoder(spec: GivenModelSpec, tokenizer: PreTrainedTokenizerFast, dataset: Path, folder: Path) -> None:
    encoder: EncoderConfig = spec.source.encoder
    if isinstance(encoder, FittedEncoderConfig):
        replies = load_split(dataset, "train_sft")["reply"].to_list()
        train_encoder(replies, tokenizer, encoder.seed).save_pretrained(str(folder))
        return
    if isinstance(encoder, FolderEncoderConfig):
        place = ModelPlace(path=encoder.path.resolve(), content=spec.encoder_content)
    else:
        place = ModelPlace(id=encoder.id, revision=encoder.revision)
    write_reference(place, folder)
    try:
        load_encoder(folder)
    except (OSError, ValueError, KeyError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{place.label}: no sentence-transformers model ({first}): give another encoder") from error
