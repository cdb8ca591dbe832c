import numpy as np
import pytest

from polymlops.analysis.mechanistic import AttentionComparison, ClusterSummary, DepthComparison
from polymlops.analysis.mechanistic_attention import MEASURES, HeadDifference
from polymlops.analysis.mechanistic_clusters import LayerClusters
from polymlops.analysis.mechanistic_lens import LayerDivergence
from polymlops.errors import MetricError
from polymlops.figures.mechanistic import attention_figure, clusters_figure, depth_figure, gradients_figure
from polymlops.figures.style import ARMS
from polymlops.records import Estimate


def estimate(value, half=0.1, n=20):
    return Estimate(value, value - half, value + half, n)


def attention(a="baseline", b="polychromic", sign=1):
    heads = tuple(
        HeadDifference(layer, head, measure, 1.0, 1.0, estimate(sign * (layer - head) * 0.2))
        for measure in MEASURES
        for layer in range(3)
        for head in range(2)
    )
    return AttentionComparison(a, b, 0.95, 20, heads)


def depth(b="polychromic"):
    kls = (0.0, 0.2, 0.5)
    layers = tuple(LayerDivergence(i, estimate(kl), kl / 0.5, 1.0, 1.0, estimate(-kl)) for i, kl in enumerate(kls))
    return DepthComparison("baseline", b, 0.95, layers)


def clusters(arm="baseline", n=20):
    layers = tuple(
        LayerClusters(i, estimate(0.1 * i, n=n), 3.0, 2.0, estimate(1.0, n=n), estimate(0.3, n=n)) for i in range(3)
    )
    return ClusterSummary(arm, 0.95, 0, layers)


def rows_of(diversity):
    return [
        {"step": step, "layer": layer, "cross_entropy": 1.0 + step, "diversity": diversity(step), "total": 2.0}
        for step in (0, 1, 2)
        for layer in ("0", "10", "2", "other", "all")
    ]


def test_heads_lie_by_layer_and_those_that_changed_are_marked():
    figure = attention_figure([attention(), attention("baseline", "baseline_grpo", sign=-1)])
    maps = [axes for axes in figure.axes if axes.images and axes.get_xlabel() == "head"]
    assert len(maps) == 2 * len(MEASURES)
    image = maps[0].images[0]
    np.testing.assert_allclose(image.get_array(), [[0, -0.2], [0.2, 0], [0.4, 0.2]])
    (dots,) = maps[0].lines
    np.testing.assert_array_equal(dots.get_xydata(), [[1, 0], [0, 1], [0, 2], [1, 2]])  # head, layer
    assert {tuple(axes.images[0].get_clim()) for axes in maps} == {(-0.4, 0.4)}
    assert ARMS["baseline_grpo"].label in maps[3].get_ylabel() + maps[1].get_ylabel()


def test_depth_has_a_line_and_a_band_a_pair():
    left, right = depth_figure([depth(), depth("baseline_grpo")]).axes
    lines = [line for line in left.lines if len(line.get_xdata()) == 3]
    np.testing.assert_allclose(lines[0].get_xydata(), [[0, 0], [1, 0.2], [2, 0.5]])
    assert len(lines) == len(left.collections) == 2
    assert len({line.get_color() for line in lines}) == 2
    ends = left.collections[0].get_paths()[0].vertices[:, 1]
    assert (ends.min(), ends.max()) == pytest.approx((-0.1, 0.6))
    np.testing.assert_allclose(right.lines[1].get_ydata(), [0, -0.2, -0.5])


def test_arms_keep_their_colours_and_those_without_candidates_are_not_drawn():
    figure = clusters_figure([clusters(), clusters("polychromic"), clusters("detached", n=0)])
    silhouette = figure.axes[0]
    drawn = [line for line in silhouette.lines if len(line.get_xdata()) == 3]
    assert [line.get_color() for line in drawn] == [ARMS["baseline"].colour, ARMS["polychromic"].colour]
    np.testing.assert_allclose(drawn[0].get_ydata(), [0, 0.1, 0.2])
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "silhouette of true intents",
        "clusters - intents",
        "agreement",
    ]


def test_gradients_are_drawn_by_step_and_by_layer_in_order():
    figure = gradients_figure({"baseline/1": rows_of(lambda step: 0.5 if step == 1 else 0), "empty": []})
    left, right = figure.axes
    by_term = {line.get_label(): line for line in left.lines}
    assert set(by_term) == {"cross_entropy", "diversity"}
    np.testing.assert_allclose(by_term["cross_entropy"].get_xydata(), [[0, 1], [1, 2], [2, 3]])
    np.testing.assert_allclose(by_term["diversity"].get_xydata(), [[1, 0.5]])  # 0 is off, not small
    layers = {line.get_label(): line for line in right.lines}["cross_entropy"]
    np.testing.assert_allclose(layers.get_xydata(), [[0, 2], [2, 2], [10, 2]])


@pytest.mark.parametrize(
    ("draw", "nothing"),
    [(attention_figure, []), (depth_figure, []), (clusters_figure, [clusters(n=0)]), (gradients_figure, {"x": []})],
)
def test_nothing_to_draw_is_refused(draw, nothing):
    with pytest.raises(MetricError):
        draw(nothing)
