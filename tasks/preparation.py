"""Data and base model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from polymlops.config.base_models import BaseModelConfig, EmbeddedModelConfig, GivenModelConfig
from polymlops.config.schema import DataConfig
from polymlops.records import Job
from polymlops.refs import DatasetRef, ModelRef
from polymlops.tracking.stage import Outcome, Stage
from tasks.stage_task import StageRunner, stage_task


@stage_task("prepare_dataset")
def prepare_dataset(runner: StageRunner, spec: DataConfig) -> Outcome[DatasetRef]:
    """Draw or read the interactions, clean and split them."""

    def work(_inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.data import preparation

        return preparation.prepare_dataset(spec, job)

    return runner.run(Stage("prepare_dataset", spec, DatasetRef, work))


@stage_task("build_base_model")
def build_base_model(runner: StageRunner, spec: BaseModelConfig, dataset: DatasetRef) -> Outcome[ModelRef]:
    """Pretrain the embedded base model, or take another as it is."""
    stage = _pretraining(spec, dataset) if isinstance(spec, EmbeddedModelConfig) else _taking(spec, dataset)
    return runner.run(stage)


def _pretraining(spec: EmbeddedModelConfig, dataset: DatasetRef) -> Stage[ModelRef]:
    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.training import pretraining

        return pretraining.build_base_model(spec, inputs["dataset"], job)

    return Stage("build_base_model", spec, ModelRef, work, {"dataset": dataset})


def _taking(config: GivenModelConfig, dataset: DatasetRef) -> Stage[ModelRef]:
    from polymlops.training.given_base import given_model_spec

    spec = given_model_spec(config)

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.training import given_base

        return given_base.take_base_model(spec, inputs["dataset"], job)

    return Stage("take_base_model", spec, ModelRef, work, {"dataset": dataset})
