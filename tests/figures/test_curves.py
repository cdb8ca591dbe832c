import numpy as np
import pytest

from polymlops.errors import MetricError
from polymlops.figures.curves import Curve, curves_figure
from polymlops.records import Estimate


def curve(arm="baseline", quantity="pass@k", n=10, collapse_k=None):
    return Curve(
        arm, quantity, {k: Estimate(k / (k + 1), k / (k + 2), k / (k + 0.5)) for k in range(1, n + 1)}, collapse_k
    )


def legend_texts(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_values_and_bands_are_drawn_as_given():
    axes = curves_figure([curve()]).axes[0]
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[k, k / (k + 1)] for k in range(1, 11)])
    edge = axes.collections[0].get_paths()[0].vertices
    for k in range(1, 11):
        heights = edge[np.isclose(edge[:, 0], k), 1]
        assert heights.min() == pytest.approx(k / (k + 2))
        assert heights.max() == pytest.approx(k / (k + 0.5))


def test_a_collapse_point_is_marked_on_its_curve_and_only_where_there_is_one():
    figure = curves_figure([curve(collapse_k=4), curve("polychromic")])
    marks = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert [tuple(mark.get_xydata()[0]) for mark in marks] == [(4, 0.8)]
    assert "collapse point" in legend_texts(figure)
    assert "collapse point" not in legend_texts(curves_figure([curve()]))


def test_any_set_of_arms_and_quantities_has_a_complete_legend():
    figure = curves_figure([curve(arm, kind) for arm in ("baseline", "mine") for kind in ("USQ@k", "oracle@k")])
    assert legend_texts(figure) == ["Baseline LoRA", "mine", "USQ@k", "oracle@k"]


def test_many_candidates_get_a_logarithmic_axis():
    assert curves_figure([curve(n=10)]).axes[0].get_xscale() == "linear"
    assert curves_figure([curve(n=100)]).axes[0].get_xscale() == "log"


def test_the_legend_covers_no_data():
    figure = curves_figure([curve(), curve("polychromic", collapse_k=3)])
    figure.canvas.draw()
    legend, axes = figure.legends[0].get_window_extent(), figure.axes[0].get_window_extent()
    assert legend.y0 >= axes.y1


def test_one_candidate_and_no_interval_can_be_drawn(tmp_path):
    figure = curves_figure([Curve("baseline", "pass@k", {1: Estimate(0.5)})])
    figure.canvas.draw()
    assert figure.axes[0].lines[0].get_ydata().tolist() == [0.5]


def test_no_curve_is_refused():
    with pytest.raises(MetricError):
        curves_figure([])
