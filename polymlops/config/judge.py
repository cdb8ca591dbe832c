"""The LLM judge: which backend answers, by which rubric, at what price and pace.

A key is never part of a config: `key_env` names the environment variable that holds it.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, StringConstraints, field_validator, model_validator

from polymlops.config.input_files import InputPath, path_digest
from polymlops.config.section import Section
from polymlops.errors import InputError

CRITERIA = 4
LOWEST, HIGHEST = 1, 10
CriterionName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,31}$")]
Decoding = dict[str, float | int | str | None]
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class Criterion(Section):
    """One quality of a text that gets a whole number from 1 to 10."""

    name: CriterionName = Field(description="names the column of its scores")
    meaning: str = Field(min_length=1, description="one line for the judge: what 1 and 10 stand for")


CREATIVE_CRITERIA = (
    Criterion(name="coherence", meaning="1: events contradict or do not follow; 10: every part follows and fits"),
    Criterion(name="engagement", meaning="1: nobody would read on; 10: hard to put down"),
    Criterion(name="originality", meaning="1: the first thing anyone would write; 10: surprising and still apt"),
    Criterion(name="fit", meaning="1: ignores what was asked; 10: does all that was asked"),
)
SOCIAL_CRITERIA = (
    Criterion(name="relevance", meaning="1: about something else; 10: answers exactly this post"),
    Criterion(name="engagement", meaning="1: nobody would react; 10: most readers would like or answer it"),
    Criterion(name="tone", meaning="1: clashes with the post; 10: exactly the register that the post invites"),
    Criterion(name="clarity", meaning="1: cannot be understood; 10: clear at first reading"),
)


class RubricConfig(Section):
    """What the judge is told to look for."""

    task: str = Field(
        "a short piece of creative writing for the given prompt", min_length=1, description="what the texts are"
    )
    criteria: tuple[Criterion, ...] = Field(
        CREATIVE_CRITERIA, min_length=CRITERIA, max_length=CRITERIA, description="what is scored, each by itself"
    )

    @model_validator(mode="after")
    def _distinct(self) -> RubricConfig:
        names = [criterion.name for criterion in self.criteria]
        if len(set(names)) != len(names) or "reason" in names:
            raise ValueError(f"criteria {names}: each needs its own name, and none may be called 'reason'")
        return self


CREATIVE = RubricConfig()
SOCIAL = RubricConfig(task="a reply to the given social media post", criteria=SOCIAL_CRITERIA)


class TokenPrice(Section):
    """What a model costs, in dollars per million tokens."""

    input: float = Field(ge=0, description="dollars per million tokens of the prompt")
    output: float = Field(ge=0, description="dollars per million tokens of the answer")


class EndpointJudgeConfig(Section):
    """A chat model behind any OpenAI-compatible endpoint."""

    model_config = ConfigDict(hide_input_in_errors=True)  # what is refused may be a key in the wrong place

    kind: Literal["endpoint"] = "endpoint"
    base_url: str = Field(description="without /chat/completions, e.g. http://127.0.0.1:8000/v1")
    model: str = Field(min_length=1, description="the model's name at the endpoint")
    key_env: str | None = Field(
        "POLYMLOPS_JUDGE_KEY", description="environment variable that holds the key; none: the endpoint asks for none"
    )
    timeout: float = Field(60.0, gt=0, description="seconds for a call; after that it has failed")
    concurrency: int = Field(8, ge=1, le=256, description="calls under way at once")
    requests_per_minute: float = Field(600.0, gt=0, description="calls started a minute, retries included")
    retries: int = Field(5, ge=0, description="further tries of a call that failed on its way (429, 5xx, cut, timeout)")
    backoff: float = Field(
        1.0, gt=0, description="seconds before the first further try, doubled each time, unless the server says when"
    )
    longest_wait: float = Field(
        300.0, gt=0, description="seconds; a server that asks for a longer wait ends the judging"
    )
    parse_retries: int = Field(2, ge=0, description="further tries where the answer does not parse; then `unscored`")
    max_output_tokens: int = Field(512, ge=16, description="most tokens of an answer; the worst case of its cost")
    output_limit: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", description="what the endpoint calls that limit"
    )
    temperature: float | None = Field(0.0, ge=0, le=2, description="none: not sent, for models that refuse it")
    response_format: Literal["json_schema", "json_object", "none"] = Field(
        "json_schema", description="how the endpoint is asked for JSON; answers are parsed just as strictly with each"
    )
    budget_calls: int | None = Field(
        None, ge=0, description="most calls to this model over the life of the store, retries included"
    )
    budget_dollars: float | None = Field(
        None, ge=0, description="most dollars for this model over the life of the store; never passed"
    )
    prices: dict[str, TokenPrice] = Field(
        {}, description="per model; empty: cost is not known, is NaN, and cannot be budgeted"
    )

    @field_validator("base_url")
    @classmethod
    def _bare_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("base_url holds credentials or a query; put the key into the variable named by key_env")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("base_url is not an http or https address")
        return value.rstrip("/")

    @field_validator("key_env")
    @classmethod
    def _names_a_variable(cls, value: str | None) -> str | None:
        if value is not None and not VARIABLE_NAME.fullmatch(value):
            raise ValueError("key_env is no name of an environment variable (and must never be the key itself)")
        return value

    @model_validator(mode="after")
    def _priced(self) -> EndpointJudgeConfig:
        if self.model not in self.prices and (self.prices or self.budget_dollars is not None):
            priced = ", ".join(sorted(self.prices)) or "no model"
            raise ValueError(
                f"prices has no row for model {self.model!r} (it prices {priced}); add prices.{self.model} with "
                "`input` and `output` in dollars per million tokens, or leave out prices and budget_dollars"
            )
        return self

    @property
    def identity(self) -> str:
        """Who answers, wherever it is served."""
        return f"endpoint:{self.model}"

    @property
    def decoding(self) -> Decoding:
        """What its answers depend on besides model and messages."""
        return {
            "temperature": None if self.temperature is None else float(self.temperature),  # 0 and 0.0 are one key
            self.output_limit: self.max_output_tokens,
            "response_format": self.response_format,
        }


class LocalJudgeConfig(Section):
    """A transformers chat model in a folder; greedy, so that a second try would say the same and none is made."""

    kind: Literal["local"] = "local"
    path: InputPath = Field(description="folder of the model and its tokenizer, with a chat template")
    scoring: Literal["written", "likelihood"] = Field(
        "written", description="the JSON that it writes, or the most likely number (or letter) at each place of it"
    )
    max_output_tokens: int = Field(256, ge=16, description="most tokens of a written answer")
    device: Literal["cpu", "cuda"] = Field("cpu", description="where it runs")

    @property
    def identity(self) -> str:
        """The model by its content. Raises: InputError where there is none in the folder."""
        if not any(self.path.glob("*.safetensors")):
            raise InputError(f"{self.path}: no model here (*.safetensors is missing)")
        return f"local:{path_digest(self.path)[:16]}"

    @property
    def decoding(self) -> Decoding:
        """What its answers depend on besides model and messages."""
        return {"scoring": self.scoring, "max_output_tokens": self.max_output_tokens}


class TruthJudgeConfig(Section):
    """The embedded world's own truth: offline, free, and what other judges are measured against."""

    kind: Literal["truth"] = "truth"
    domain: Literal["stories", "social"] = Field(
        "stories", description="`social` needs the prepared dataset, whose posts have a hidden side"
    )

    @property
    def identity(self) -> str:
        """Which of the world's truths answers."""
        return f"truth-{self.domain}"

    @property
    def decoding(self) -> Decoding:
        """Nothing: the truth is computed."""
        return {}


JudgeBackendConfig = Annotated[EndpointJudgeConfig | LocalJudgeConfig | TruthJudgeConfig, Field(discriminator="kind")]


class JudgeConfig(Section):
    """A judge: who answers, and by which rubric."""

    backend: JudgeBackendConfig = Field(TruthJudgeConfig(), description="who answers")
    rubric: RubricConfig = CREATIVE


class JudgeSpec(Section):
    """What determines a judge's verdicts: who answers, decoded how, by which rubric. Address, pace and price do not."""

    identity: str
    decoding: Decoding
    rubric: RubricConfig


def judge_spec(config: JudgeConfig) -> JudgeSpec:
    """Slice of a judge's config that determines its verdicts. Raises: InputError where a local model is missing."""
    return JudgeSpec(identity=config.backend.identity, decoding=config.backend.decoding, rubric=config.rubric)
