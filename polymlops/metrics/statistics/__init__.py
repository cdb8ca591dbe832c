"""Intervals, tests and effect sizes. The unit is the prompt; randomness comes from the generator that is passed in."""

from polymlops.metrics.statistics.bootstrap import (
    bootstrap_function,
    bootstrap_mean,
    bootstrap_ratio,
    clustered_bootstrap,
    paired_bootstrap,
    two_level_paired_bootstrap,
)
from polymlops.metrics.statistics.curve_bootstrap import (
    CurveDraws,
    bootstrap_pass_at_k,
    bootstrap_pass_at_k_draws,
)
from polymlops.metrics.statistics.effect_size import (
    cliffs_delta,
    cohens_d,
    interquartile_mean,
    minimum_detectable_effect,
)
from polymlops.metrics.statistics.significance import SignFlipTest, holm, sign_flip_test

__all__ = [
    "CurveDraws",
    "SignFlipTest",
    "bootstrap_function",
    "bootstrap_mean",
    "bootstrap_pass_at_k",
    "bootstrap_pass_at_k_draws",
    "bootstrap_ratio",
    "cliffs_delta",
    "clustered_bootstrap",
    "cohens_d",
    "holm",
    "interquartile_mean",
    "minimum_detectable_effect",
    "paired_bootstrap",
    "sign_flip_test",
    "two_level_paired_bootstrap",
]
