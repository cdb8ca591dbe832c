import numpy as np
import pytest

from polymlops.errors import MetricError
from polymlops.figures.over_optimisation import OptimisationPath, over_optimisation_figure

PATH = OptimisationPath("baseline_grpo", 1, [0.0, 0.25, 1.0], [1.0, 1.1, 1.2], [0.7, 0.75, 0.6])


def test_gains_over_the_start_are_drawn_against_the_root_of_the_kl():
    upper, lower = over_optimisation_figure([PATH]).axes
    np.testing.assert_allclose(upper.lines[0].get_xydata(), [[0, 0], [0.5, 0.1], [1, 0.2]])
    np.testing.assert_allclose(lower.lines[0].get_xydata(), [[0, 0], [0.5, 0.05], [1, -0.1]])


def test_runs_of_one_arm_share_one_entry_of_the_legend():
    other = OptimisationPath("polychromic_grpo", 1, [0.0], [1.0], [0.5])
    figure = over_optimisation_figure([PATH, PATH, other])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Baseline + GRPO", "Polychromic + GRPO"]


def test_without_runs_there_is_no_figure():
    with pytest.raises(MetricError, match="at least one run"):
        over_optimisation_figure([])
