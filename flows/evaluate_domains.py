"""One model on one domain: sampled, scored and reported by the functions that the phases use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flows.evaluate_request import EvaluateRequest, has_encoder
from flows.evaluate_steps import Steps
from polymlops.config.code_slices import CodeSampleSpec, CodeScoreSpec
from polymlops.config.coding import domain_of
from polymlops.config.creative import creative_prompts_spec, creative_score_spec
from polymlops.config.schema import ExperimentConfig
from polymlops.config.slices import ReportSpec, SampleSpec, ScoreSpec, home_domain
from polymlops.errors import InputError

if TYPE_CHECKING:
    from polymlops.config.base_models import GivenModelConfig
    from polymlops.records import Job
    from polymlops.tracking.named_models import NamedModel

ARM, SEED, LABEL = "model", 0, "model/0"
Metrics = dict[str, float]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model, the reward model that judges it where there is one, and what was asked."""

    request: EvaluateRequest
    config: ExperimentConfig
    model: NamedModel
    reward: Path | None
    steps: Steps

    def dataset(self) -> Path:
        """Prepared interactions of the profile."""
        from polymlops.data.ingest_files import pinned
        from polymlops.data.preparation import prepare_dataset

        self.steps.do("dataset", lambda job: prepare_dataset(pinned(self.config.data), job))
        return self.steps.out / "dataset"

    def base(self, compares_meanings: bool = True) -> Path:
        """The base model, ready to be asked: an artifact of ours as it is, any other after it was looked at.

        Raises: InputError where it is none, or the adapter was made for another.
        """
        from polymlops.models.loading import check_base
        from polymlops.training.given_base import given_model_spec, take_base_model, take_model

        base, found = self.model.base, self.model
        assert base is not None
        if has_encoder(base):
            self.request.refuse_loading(found.name)
        else:
            spec = given_model_spec(self._taken(base))
            if compares_meanings:
                dataset = self.dataset()
                self.steps.do("base", lambda job: take_base_model(spec, dataset, job))
            else:
                self.steps.do("base", lambda job: take_model(spec, job)[1])
            base = self.steps.out / "base"
        if found.adapter is not None:
            check_base(base, found.adapter)
        return base

    def _taken(self, base: Path) -> GivenModelConfig:
        """How the profile loads models, with this one."""
        from polymlops.config.base_models import FolderModelConfig, HubModelConfig

        given = self.config.base_model
        assert isinstance(given, FolderModelConfig)
        if self.model.hub is None:
            return given.model_copy(update={"path": base})
        place = {"kind": "hub", "id": self.model.hub.model_id, "revision": self.model.hub.revision}
        return HubModelConfig.model_validate(given.model_dump(exclude={"kind", "path"}) | place)

    def report(self, domain: str, write: Callable[[ReportSpec, Mapping[str, Path], Job], Metrics]) -> None:
        """The table of the model, with intervals."""
        request = self.request
        spec = ReportSpec(arms=(ARM,), domain=domain, ks=request.shown, resamples=request.resamples)
        self.steps.do("report", lambda job: write(spec, {LABEL: self.steps.out / "scores"}, job))


def evaluate_social(evaluation: Evaluation) -> Metrics:
    """Replies to the test posts of the profile's data; quality is the world's truth, or what the reward model says."""
    from polymlops.evaluation.social import SocialInputs, score_samples
    from polymlops.generation.sampling import sample_arm
    from polymlops.report.core import write_core_results

    config, steps, model = evaluation.config, evaluation.steps, evaluation.model
    if evaluation.reward is None and not config.data.truth_is_known:
        raise InputError(
            f"nobody knows the truth about data of kind {config.data.source.kind!r}: give --reward REF, a reward model "
            "whose opinion is taken for quality (`polymlops reward FILE` trains one)"
        )
    dataset, base, domain = evaluation.dataset(), evaluation.base(), home_domain(config)
    sampled = SampleSpec(arm=ARM, seed=SEED, domain=domain, sampling=evaluation.request.sampling(config))
    scored = ScoreSpec(arm=ARM, seed=SEED, domain=domain, ks=evaluation.request.shown)
    inputs = SocialInputs(steps.out / "samples", dataset, base, evaluation.reward)
    metrics = dict(steps.do("samples", lambda job: sample_arm(sampled, base, model.adapter, dataset, job)))
    metrics |= steps.do("scores", lambda job: score_samples(scored, inputs, job))
    evaluation.report(domain, lambda spec, scores, job: write_core_results(spec, scores, {}, job))
    return metrics


def evaluate_creative(evaluation: Evaluation) -> Metrics:
    """Texts for the profile's prompts, judged as it says; verdicts are kept from one call to the next."""
    from polymlops.data.creative_prompts import prepare_prompts
    from polymlops.evaluation.creative import CreativeInputs, score_creative
    from polymlops.generation.creative_sampling import sample_texts
    from polymlops.report.creative import write_creative_results

    config, steps, model = evaluation.config, evaluation.steps, evaluation.model
    creative = evaluation.request.creative(config)
    if creative.judge is None and creative.source.kind != "world":
        raise InputError(
            f"creative.judge: none, and nobody knows the truth about prompts of kind {creative.source.kind!r}: give a "
            "judge of kind endpoint or local"
        )
    scored = creative_score_spec(creative, ARM, SEED)
    steps.do("prompts", lambda job: prepare_prompts(creative_prompts_spec(creative), job))
    prompts, base = steps.out / "prompts", evaluation.base()
    sampled = SampleSpec(arm=ARM, seed=SEED, domain="creative", sampling=creative.sampling)
    inputs = CreativeInputs(
        samples=steps.out / "samples",
        encoder=base / "encoder",
        base=base,
        verdicts=steps.out / "verdicts.sqlite",
        judge=creative.judge,
        second_judge=creative.second_judge,
    )
    metrics = dict(steps.do("samples", lambda job: sample_texts(sampled, base, model.adapter, prompts, job)))
    metrics |= steps.do("scores", lambda job: score_creative(scored, inputs, job))
    evaluation.report("creative", write_creative_results)
    return metrics


def evaluate_code(evaluation: Evaluation) -> Metrics:
    """Programs for a suite, executed in the sandbox."""
    from flows.suite_requests import check
    from polymlops.data.suites import load_suite
    from polymlops.evaluation.coding import CodeInputs, score_programs
    from polymlops.generation.code_sampling import sample_programs
    from polymlops.report.code import write_code_results

    request, steps, model = evaluation.request, evaluation.steps, evaluation.model
    suite, scoring = request.suite_section, request.code_scoring
    loaded = load_suite(suite)
    if request.check_suite:
        check(loaded, scoring.limits)
    base = evaluation.base(compares_meanings=False)
    drawn, domain = request.sampling(evaluation.config), domain_of(suite)
    sampled = CodeSampleSpec(arm=ARM, seed=SEED, domain=domain, sampling=drawn, suite=suite)
    scored = CodeScoreSpec(arm=ARM, seed=SEED, domain=domain, suite=suite, scoring=scoring)
    metrics = dict(steps.do("samples", lambda job: sample_programs(sampled, base, model.adapter, job)))
    metrics |= steps.do("scores", lambda job: score_programs(scored, CodeInputs(steps.out / "samples"), job))
    evaluation.report(domain, write_code_results)
    return metrics


DOMAINS = {"social": evaluate_social, "creative": evaluate_creative, "code": evaluate_code}
