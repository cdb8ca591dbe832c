"""Gains are drawn as given: the value, its interval, an open marker where it is unsure, a ground under the home."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from polymlops.config.cross_domain import DomainView
from polymlops.config.sampling import SamplingConfig
from polymlops.errors import MetricError
from polymlops.evaluation.cross_domain_records import CrossDomainReport, Gain
from polymlops.figures.cross_domain import cross_domain_figure
from polymlops.figures.saving import save_figure
from polymlops.records import Estimate

VIEWS = {
    "social": DomainView(sampling=SamplingConfig()),
    "code_world": DomainView(sampling=SamplingConfig(), diversity="tree_distance"),
}


def gain(domain, arm, metric, value, told_apart=True):
    estimate = Estimate(value, value - 0.05, value + 0.05, 30)
    return Gain(domain, arm, "zero_shot", metric, domain == "social", estimate, 0.01, 0.02, told_apart)


def report(gains):
    return CrossDomainReport((), tuple(gains), (), (), ())


GAINS = [
    gain("social", "polychromic", "semantic_diversity", 0.2),
    gain("social", "baseline", "semantic_diversity", -0.1),
    gain("code_world", "polychromic", "tree_distance", 0.03, told_apart=False),
    gain("code_world", "polychromic", "semantic_diversity", 9.0),  # not this domain's measure
    gain("social", "polychromic", "quality", 0.4),
]


def markers(axes):
    return {line.get_gid(): line for line in axes.lines if line.get_gid()}


def test_every_gain_stands_at_its_domain_with_its_interval():
    quality, diversity = cross_domain_figure(report(GAINS), VIEWS).axes
    assert set(markers(quality)) == {"social/polychromic"}
    drawn = markers(diversity)
    assert {name: line.get_ydata()[0] for name, line in drawn.items()} == {
        "social/polychromic": 0.2,
        "social/baseline": -0.1,
        "code_world/polychromic": 0.03,
    }
    assert [round(line.get_xdata()[0]) for line in drawn.values()] == [0, 0, 1]
    intervals = [line.get_ydata() for line in diversity.lines if len(line.get_ydata()) == 2 and not line.get_gid()]
    assert any(np.allclose(ends, [0.15, 0.25]) for ends in intervals)
    assert [text.get_text() for text in diversity.get_xticklabels()] == ["social", "code_world"]


def test_what_is_unsure_is_open_and_home_has_a_ground():
    diversity = cross_domain_figure(report(GAINS), VIEWS).axes[1]
    drawn = markers(diversity)
    assert drawn["code_world/polychromic"].get_markerfacecolor() == "white"
    assert drawn["social/polychromic"].get_markerfacecolor() != "white"
    assert len(diversity.patches) == 1


def test_undefined_gains_are_not_drawn_and_without_any_there_is_no_figure(tmp_path):
    undefined = replace(GAINS[0], difference=Estimate(float("nan")))
    figure = cross_domain_figure(report([undefined, GAINS[4]]), VIEWS)
    assert markers(figure.axes[1]) == {}
    assert all(path.stat().st_size > 0 for path in save_figure(figure, tmp_path, "cross_domain"))
    with pytest.raises(MetricError, match="nothing to draw"):
        cross_domain_figure(report([undefined]), VIEWS)
