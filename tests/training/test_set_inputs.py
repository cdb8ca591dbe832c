"""What the set objectives refuse, and that the message says what to pass instead."""

from __future__ import annotations

import numpy as np
import pytest

from polymlops.errors import MetricError
from polymlops.training.set_objectives import advantage_report, advantages, pass_at_k_scaling

ONES = np.ones((2, 4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rewards_GK": np.ones(4)}, "groups, samples"),
        ({"rewards_GK": [[1.0, np.nan]], "k": 1}, "rewards_GK holds NaN"),
        ({"k": 5}, "sample more"),
        ({"k": 0}, "k must be 1 or more"),
        ({"k": 1.5}, "whole numbers"),
        ({"k": 4}, "k < 4, or marginal"),
        ({"objective": "best"}, "one of mean, max"),
        ({"baseline": "none"}, "one of mean, loo"),
        ({"objective": "selected"}, "pass selector_GK"),
        ({"objective": "selected", "selector_GK": np.ones((2, 3))}, "selector_GK has shape"),
        ({"objective": "selected", "selector_GK": ONES * np.nan}, "selector_GK holds NaN"),
        ({"objective": "polychromic"}, r"pass distances \(G, K, K\)"),
        ({"objective": "polychromic", "rewards_GK": -ONES}, "shift rewards"),
        ({"objective": "diversity", "diversity": np.ones(4)}, r"not shape \(4,\)"),
        ({"objective": "diversity", "diversity": ONES}, "integers or strings"),
        ({"objective": "diversity", "diversity": np.ones((2, 4, 3))}, "as the rewards say"),
        ({"objective": "diversity", "diversity": np.full((2, 4, 4), 1.5)}, r"\[0, 1\]"),
        ({"objective": "diversity", "diversity": np.full((2, 4, 4), np.nan)}, "diversity holds NaN"),
        ({"objective": "diversity", "diversity": np.ones((2, 3), dtype=int)}, "diversity has shape"),
        ({"objective": "diversity", "diversity": np.zeros((2, 4, 4)), "valid_GK": ONES}, "booleans"),
        ({"objective": "coverage", "diversity": np.zeros((2, 4, 4))}, r"cluster labels \(G, K\)"),
        ({"objective": "coverage", "rewards_GK": ONES / 2}, ">= threshold"),
    ],
)
def test_undefined_input_says_what_to_pass(arguments, message):
    call = {"rewards_GK": ONES, "objective": "max", "k": 2, "baseline": "loo"} | arguments
    with pytest.raises(MetricError, match=message):
        advantages(**call)


def test_scaling_refuses_what_does_not_pass_or_fail():
    with pytest.raises(MetricError, match="threshold"):
        pass_at_k_scaling(ONES / 2, 2)
    with pytest.raises(MetricError, match="sample more"):
        pass_at_k_scaling(ONES, 5)
    with pytest.raises(MetricError, match="advantages_GK has shape"):
        advantage_report(np.ones((2, 3)), ONES)
