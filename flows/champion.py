"""What the model registry serves, measured again and again on prompts that nobody has seen."""

from __future__ import annotations

from datetime import UTC, datetime

from prefect import flow

from flows.execution import carried_out, tracked
from flows.results import ChampionResults
from polymlops.config.schema import ExperimentConfig, WorldSource
from polymlops.config.slices import SampleSpec, ScoreSpec
from polymlops.errors import ConfigError
from polymlops.tracking.served import ServedModel, served_models
from tasks.arms import ScoreSources, sample_arm, score_samples
from tasks.preparation import prepare_dataset

FRESH_WORLDS = 1_000_000  # seeds below are for training; the prompts of a day are those of this world and the day's


@flow(name="evaluate-champion", flow_run_name="{config.name}", persist_result=False)
def evaluate_champion(config: ExperimentConfig, day: int | None = None) -> ChampionResults:
    """Sample and score the champion of each start, or its candidate while there is none, on the prompts of a day.

    Args:
        config: the experiment whose models these are; they are sampled and scored as it says.
        day: number of the day (1 is 0001-01-01) whose prompts are drawn; none: today.
    """
    day = day if day is not None else datetime.now(UTC).toordinal()
    fresh = fresh_prompts(config, day)
    with tracked(fresh, None) as run:
        call = carried_out(run, config.execution)
        served = served_models(run, config.name)
        dataset = call(prepare_dataset, fresh.data)
        scores = {}
        for model in served:
            samples = call(sample_arm, sample_spec(fresh, model), model.base, model.adapter, dataset)
            sources = ScoreSources(samples, dataset, model.base, model.reward)
            scores[model.uri] = call(score_samples, score_spec(fresh, model), sources)
        return ChampionResults(parent_run_id=run.parent_run_id, world=FRESH_WORLDS + day, scores=scores)


def fresh_prompts(config: ExperimentConfig, day: int) -> ExperimentConfig:
    """The experiment on a world of its own, under a name of its own.

    Raises:
        ConfigError: the prompts of other data are all known.
    """
    if not isinstance(config.data.source, WorldSource):
        kind = config.data.source.kind
        raise ConfigError(f"data.source: fresh prompts come from a world, not from a source of kind {kind!r}")
    source = config.data.source.model_copy(update={"seed": FRESH_WORLDS + day})
    data = config.data.model_copy(update={"source": source})
    return config.model_copy(update={"name": f"{config.name}-champion", "data": data})


def sample_spec(config: ExperimentConfig, model: ServedModel) -> SampleSpec:
    """How a model is sampled: as its arm was."""
    return SampleSpec(arm=model.arm, seed=model.seed, sampling=config.sampling)


def score_spec(config: ExperimentConfig, model: ServedModel) -> ScoreSpec:
    """How its candidates are scored."""
    return ScoreSpec(arm=model.arm, seed=model.seed, ks=config.evaluation.ks)
