"""What `evaluate` was asked: a model, a domain, how candidates are drawn, and a profile for the rest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from flows.suite_requests import suite_config
from polymlops.config.base_models import FolderModelConfig, HubModelConfig
from polymlops.config.coding import CodeScoring
from polymlops.config.creative import CreativeConfig
from polymlops.config.profiles import load_config
from polymlops.config.sampling import SamplingConfig
from polymlops.config.sandbox import SandboxLimits
from polymlops.config.schema import ExperimentConfig
from polymlops.config.suites import SuiteConfig
from polymlops.errors import ConfigError, InputError, UsageError

DEFAULT_KS = (1, 5, 10)
DEFAULT_TOKENS = {"social": 64, "creative": 128, "code": 256}
SAMPLED = {"n": "--n", "temperature": "--temperature", "top_p": "--top-p", "prompts": "--prompts", "seed": "--seed"}
LOADING = {"dtype", "device", "quantization", "allow_pickle", "separator", "encoder"}


@dataclass(frozen=True)
class EvaluateRequest:
    """See flows.evaluate_options."""

    model: str
    adapter: str | None
    domain: str
    reward: str | None
    suite: str | None
    suite_file: str | None
    check_suite: bool
    require_isolation: bool
    workers: int
    prompt_format: str | None
    prompts: int
    n: int
    ks: tuple[int, ...]
    temperature: float
    top_p: float
    max_new_tokens: int | None
    seed: int
    resamples: int
    profile: str
    overrides: tuple[str, ...]
    out: str
    as_json: bool

    def config(self) -> ExperimentConfig:
        """The profile with the overrides.

        Raises:
            UsageError: options that do not go together, or values that have an option of their own.
            ConfigError: as `load_config`.
        """
        if self.domain != "code" and (self.suite or self.suite_file or self.prompt_format or self.check_suite):
            raise UsageError("--suite, --suite-file, --check-suite and --format go with --domain code")
        if self.domain != "social" and self.reward is not None:
            raise UsageError("--reward goes with --domain social; what is written is judged by creative.judge")
        for pair in self.overrides:
            section, _, name = pair.partition("=")[0].rpartition(".")
            if section in ("sampling", "creative.sampling", "code.sampling") and name in SAMPLED:
                raise UsageError(f"--set {pair}: give {SAMPLED[name]}")
        if max(self.shown) > self.n:
            raise InputError(f"--k {max(self.shown)} is above --n {self.n}: sample more")
        return load_config(self.profile, self._with_loading())

    def _with_loading(self) -> tuple[str, ...]:
        """The overrides, after a base model in whose place the one that is asked for comes."""
        base = load_config(self.profile).base_model
        settings = base.model_dump(mode="json", include=LOADING) if isinstance(base, GIVEN) else {}
        place = json.dumps({"kind": "folder", "path": self.model, **settings})
        return (f"base_model={place}", *self.overrides)

    def refuse_loading(self, name: str) -> None:
        """Raise UsageError where it is said how a model is loaded that says so itself."""
        for pair in self.overrides:
            if pair.startswith("base_model"):
                raise UsageError(f"--set {pair}: {name} was made by a stage, which said how it is loaded: leave it out")

    @property
    def shown(self) -> tuple[int, ...]:
        """Candidates shown."""
        return self.ks or tuple(k for k in DEFAULT_KS if k <= self.n)

    def sampling(self, config: ExperimentConfig) -> SamplingConfig:
        """How candidates are drawn; batch and shards are the profile's."""
        asked = {
            "n": self.n,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_new_tokens": self.max_new_tokens or DEFAULT_TOKENS[self.domain],
            "prompts": self.prompts,
            "seed": self.seed,
        }
        return config.sampling.model_copy(update=asked)

    @property
    def suite_section(self) -> SuiteConfig:
        """The suite, asked as wanted."""
        unnamed = self.suite is None and self.suite_file is None
        config = suite_config("world" if unnamed else self.suite, self.suite_file)
        return config.model_copy(update={"format": self.prompt_format}) if self.prompt_format else config

    @property
    def code_scoring(self) -> CodeScoring:
        """How programs are executed and compared."""
        limits = SandboxLimits(require_isolation=self.require_isolation, workers=self.workers)
        return CodeScoring(ks=self.shown, limits=limits)

    def creative(self, config: ExperimentConfig) -> CreativeConfig:
        """Prompts, judges and scoring of the profile, drawn as asked.

        Raises: ConfigError where the profile has none.
        """
        if config.creative is None:
            raise ConfigError(f"creative: profile {self.profile} asks for no stories: --set creative.source.kind=world")
        scoring = config.creative.scoring.model_copy(update={"ks": self.shown})
        return config.creative.model_copy(update={"sampling": self.sampling(config), "scoring": scoring})


GIVEN = (FolderModelConfig, HubModelConfig)


def has_encoder(base: Path) -> bool:
    """Whether a base is an artifact of ours: prepared to be asked, with an encoder of meanings beside it."""
    return (base / "encoder").is_dir()
