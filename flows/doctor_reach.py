"""What lies elsewhere: the Hub, a judge's endpoint, keys, the tracking server, the Prefect API. Asked shortly, once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx

from flows.checks import Check
from polymlops.config.base_models import EmbeddedModelConfig, HubEncoderConfig, HubModelConfig
from polymlops.config.coding import CodeConfig
from polymlops.config.creative import WritingPromptsConfig
from polymlops.config.ingest import HubSource
from polymlops.config.judge import EndpointJudgeConfig
from polymlops.config.schema import ExperimentConfig
from polymlops.config.suites import WorldSuiteConfig
from polymlops.errors import ArtifactError, InputError, TrackingError
from polymlops.models.hub_access import HubRepository, check_access

TIMEOUT_S = 3.0
FIRST_SERVER_ERROR = 500
DATABASE = "mlflow.db"


def check_hub(config: ExperimentConfig) -> Iterator[Check]:
    """A line for each repository of the Hub that the config names."""
    for name, repository in _repositories(config):
        if _is_cached(repository):
            yield Check(name, "ok", f"{repository.label} is in the cache")
            continue
        try:
            check_access(repository)
        except InputError as error:
            yield Check(name, "fail", str(error), "see the message; a folder will do instead (kind: folder, or path)")
        except ArtifactError as error:
            remedy = "fetch it elsewhere and give its folder, or unset HF_HUB_OFFLINE where there is a network"
            yield Check(name, "warn", str(error), remedy)
        else:
            yield Check(name, "ok", f"{repository.label} may be fetched")


def _repositories(config: ExperimentConfig) -> Iterator[tuple[str, HubRepository]]:
    base, source = config.base_model, config.data.source
    if isinstance(base, HubModelConfig):
        yield "base_model.id", HubRepository("model", base.id, base.revision)
    if not isinstance(base, EmbeddedModelConfig) and isinstance(base.encoder, HubEncoderConfig):
        yield "base_model.encoder.id", HubRepository("model", base.encoder.id, base.encoder.revision)
    if isinstance(source, HubSource) and source.revision is not None:
        yield "data.source.name", HubRepository("dataset", source.name, source.revision)
    if config.code is not None:
        yield from _suite(config.code)
    prompts = config.creative.source if config.creative is not None else None
    if isinstance(prompts, WritingPromptsConfig) and prompts.hub is not None:
        yield "creative.source.hub", HubRepository("dataset", prompts.hub, str(prompts.revision))


def _suite(code: CodeConfig) -> Iterator[tuple[str, HubRepository]]:
    suite = code.suite
    if not isinstance(suite, WorldSuiteConfig) and suite.path is None:
        yield "code.suite.hub", HubRepository("dataset", str(suite.hub), str(suite.revision))


def _is_cached(repository: HubRepository) -> bool:
    from polymlops.models.hub import cached_copy, cached_dataset

    if repository.kind == "model":
        return cached_copy(repository.id, repository.revision) is not None
    return cached_dataset(repository.id, repository.revision)


def check_judges(config: ExperimentConfig) -> Iterator[Check]:
    """The key and the endpoint of each judge that has one; a key is looked for, and never shown."""
    judges = (
        {"creative.judge": config.creative.judge, "creative.second_judge": config.creative.second_judge}
        if (config.creative is not None)
        else {}
    )
    for name, judge in judges.items():
        if judge is None or not isinstance(judge.backend, EndpointJudgeConfig):
            continue
        backend = judge.backend
        if backend.key_env is not None:
            there = bool(os.environ.get(backend.key_env))
            remedy = "" if there else f"export {backend.key_env}=..., or --set {name}.backend.key_env=null"
            yield Check(
                f"{name} key", "ok" if there else "fail", f"{backend.key_env} is {'' if there else 'not '}set", remedy
            )
        place = f"{urlsplit(backend.base_url).scheme}://{urlsplit(backend.base_url).netloc}"
        remedy = "" if answers(place) else "start it, or correct base_url"
        yield Check(f"{name} endpoint", "warn" if remedy else "ok", f"{place} {_said(not remedy)}", remedy)


def check_samplers(config: ExperimentConfig) -> Iterator[Check]:
    """Each server that draws sample sets."""
    samplings = [config.sampling, *(part.sampling for part in (config.code, config.creative) if part is not None)]
    for url in sorted({sampling.vllm_url for sampling in samplings if sampling.vllm_url is not None}):
        remedy = "" if answers(f"{url.rstrip('/')}/v1/models") else "start `vllm serve MODEL`, or engine=transformers"
        yield Check("vLLM server", "fail" if remedy else "ok", f"{_bare(url)} {_said(not remedy)}", remedy)


def check_tracking(config: ExperimentConfig) -> Check:
    """Is the store of runs there, and may we read it? A server is not asked by its client, which tries for long."""
    uri = config.tracking.uri
    if uri is not None and uri.startswith(("http://", "https://")):
        return _server(uri)
    remedy = "another version made it: use that one, or another output_dir or tracking.uri"
    if uri is None and not (config.output_dir / DATABASE).is_file():
        return Check("tracking store", "ok", "the SQLite file of the output folder (made by the first run)")
    from polymlops.tracking.plans import plan_context

    try:
        plan_context(config)
    except TrackingError as error:
        return Check("tracking store", "fail", str(error), remedy)
    return Check("tracking store", "ok", _bare(uri) if uri else "the SQLite file of the output folder")


def _server(uri: str) -> Check:
    """An MLflow server, with the account that its client would use."""
    name, password = (os.environ.get(f"MLFLOW_TRACKING_{part}", "") for part in ("USERNAME", "PASSWORD"))
    path = f"{uri.rstrip('/')}/api/2.0/mlflow/experiments/search"
    try:
        answer = httpx.get(path, params={"max_results": 1}, timeout=TIMEOUT_S, auth=(name, password) if name else None)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        what = f"{_bare(uri)} does not answer ({type(error).__name__})"
        return Check("tracking store", "fail", what, "start the server, or unset tracking.uri")
    if answer.status_code in (401, 403):
        remedy = "export MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        return Check("tracking store", "fail", f"{_bare(uri)} lets nobody in without an account", remedy)
    if answer.status_code != httpx.codes.OK:
        what = f"{_bare(uri)} answers {answer.status_code}: no MLflow server, or one that is not ready"
        return Check("tracking store", "fail", what, "correct tracking.uri, or look at the server")
    return Check("tracking store", "ok", f"{_bare(uri)} answers")


def check_prefect(config: ExperimentConfig) -> Iterator[Check]:
    """The API of the user's own server, where they have one or workers need it."""
    url = os.environ.get("PREFECT_API_URL")
    if url:
        there = answers(f"{url.rstrip('/')}/health")
        remedy = "" if there else "start that server, or unset PREFECT_API_URL"
        yield Check("Prefect API", "ok" if there else "fail", f"{_bare(url)} {_said(there)}", remedy)
    elif config.execution.mode == "pools":
        remedy = "export PREFECT_API_URL of the server whose workers do the stages, or --set execution.mode=local"
        yield Check("Prefect API", "fail", "PREFECT_API_URL is not set, and execution.mode is pools", remedy)


def answers(url: str) -> bool:
    """True where something answers there within seconds, if only to ask who we are."""
    try:
        return httpx.get(url, timeout=TIMEOUT_S).status_code < FIRST_SERVER_ERROR
    except (httpx.HTTPError, httpx.InvalidURL):
        return False


def _said(there: bool) -> str:
    return "answers" if there else "does not answer"


def _bare(url: str) -> str:
    """An address without the user and password that it may hold."""
    parts = urlsplit(url)
    return url.replace(f"{parts.netloc.rpartition('@')[0]}@", "", 1) if "@" in parts.netloc else url
