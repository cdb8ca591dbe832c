"""Shared by all tests: one tiny model a session, one small prepared dataset and base model, telemetry off."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from running import after_smoke, made_once, shell, smoke, stack, telltale  # noqa: F401  # fixtures

os.environ |= {
    "OMP_WAIT_POLICY": "PASSIVE",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "TOKENIZERS_PARALLELISM": "false",
}


def pytest_addoption(parser):
    group = parser.getgroup("pictures", "of tests/flows/test_ui_browser.py")
    group.addoption("--finished-run", help="output folder of a finished roadmap, in place of a smoke run")
    group.addoption("--save-screenshots", help="folder for pictures of both UIs")


def _job(folder: Path):
    from polymlops.records import Job

    for name in ("output", "scratch"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return Job(folder / "output", folder / "scratch", lambda metrics, step: None)


@pytest.fixture
def make_job(tmp_path):
    """A stage's job in a fresh folder, or in a named one that is kept between calls."""
    return lambda name="job": _job(tmp_path / name)


@pytest.fixture(scope="session")
def tiny_model():
    """A randomly initialised Qwen3 of two layers, in evaluation mode. Tests that train must build their own."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=128,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=128,
        initializer_range=0.4,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
    )
    return Qwen3ForCausalLM(config).eval()


@pytest.fixture(scope="session")
def small_dataset(tmp_path_factory) -> Path:
    """A prepared dataset of 160 posts."""
    from polymlops.config.schema import DataConfig, WorldSource
    from polymlops.data.preparation import prepare_dataset

    def make(folder: Path) -> None:
        prepare_dataset(DataConfig(source=WorldSource(posts=160, replies_per_post=4)), _job(folder))

    return made_once(tmp_path_factory, "dataset", make) / "output"


@pytest.fixture(scope="session")
def small_base(tmp_path_factory, small_dataset) -> Path:
    """A base model that was hardly trained, with its tokenizer and encoder: right in shape, not in what it says."""
    from polymlops.config.base_models import EmbeddedModelConfig
    from polymlops.training.pretraining import build_base_model

    config = EmbeddedModelConfig(
        hidden=32,
        layers=2,
        heads=2,
        vocabulary=600,
        documents=600,
        steps=80,
        learning_rate=1e-2,
        batch=4,
        min_well_formed=0,
        program_pass_range=(0, 1),
    )

    def make(folder: Path) -> None:
        build_base_model(config, small_dataset, _job(folder))

    return made_once(tmp_path_factory, "base", make) / "output"


@pytest.fixture(scope="session")
def qwen3_folder(tmp_path_factory) -> Path:
    """A random chat model of Qwen3's architecture in a folder."""
    from given_models import save_qwen3

    return save_qwen3(tmp_path_factory.mktemp("given") / "qwen3")


@pytest.fixture(scope="session")
def llama_folder(tmp_path_factory) -> Path:
    """A random Llama in a folder, which only continues text."""
    from given_models import save_llama

    return save_llama(tmp_path_factory.mktemp("given") / "llama")
