"""The GRPO tests' start, made once for all of them, and a way to build a trainer from it."""

from __future__ import annotations

import pytest
from grpo_parts import count_of_e, few_replies, sft_start


@pytest.fixture(scope="session")
def few_rows(small_dataset, tmp_path_factory):
    """The small dataset with 24 training replies."""
    return few_replies(small_dataset, tmp_path_factory.mktemp("few") / "data")


@pytest.fixture(scope="session")
def start(small_base, few_rows, tmp_path_factory):
    """An SFT adapter of three steps."""
    return sft_start(small_base, few_rows, tmp_path_factory.mktemp("start"))


@pytest.fixture
def build(small_base, few_rows, start, make_job):
    """A GRPO trainer of a spec, ready to train."""
    from polymlops.training.grpo import build_grpo_trainer

    def run(spec, reward=count_of_e, name="job"):
        return build_grpo_trainer(spec, small_base, start, few_rows, reward, make_job(name))

    return run
