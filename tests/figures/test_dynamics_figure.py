import math

import numpy as np
import pytest

from polymlops.errors import MetricError
from polymlops.figures.dynamics import PANELS, Trajectory, dynamics_figure, mean_over_seeds


def run(arm, seed, **values):
    steps = range(0, 300, 100)
    keys = values or {key: float(seed) for key in PANELS}
    return Trajectory(arm, seed, tuple({"step": step} | {k: v + step / 100 for k, v in keys.items()} for step in steps))


def test_seeds_are_thin_lines_and_their_mean_is_bold():
    figure = dynamics_figure([run("baseline", 1), run("baseline", 3), run("polychromic", 1)])
    axes = figure.axes[0]
    thin = [line for line in axes.lines if line.get_linewidth() < 1]
    bold = [line for line in axes.lines if line.get_linewidth() > 1]
    assert [line.get_ydata()[0] for line in thin] == [1, 3]
    np.testing.assert_allclose(bold[0].get_xydata(), [[0, 2], [100, 3], [200, 4]])
    assert len(bold) == 2


def test_every_measured_quantity_has_its_panel_and_no_other():
    assert [axes.get_title() for axes in dynamics_figure([run("baseline", 1)]).axes] == list(PANELS.values())
    figure = dynamics_figure([run("baseline", 1, self_bleu=0.5, distinct_2=0.2, unknown=1.0, true_intents=3.0)])
    visible = [axes.get_title() for axes in figure.axes if axes.get_visible()]
    assert visible == [PANELS["self_bleu"], PANELS["distinct_2"], PANELS["true_intents"]]


def test_undefined_points_are_left_out_and_a_mean_needs_every_seed():
    assert mean_over_seeds([{0: 1.0, 100: 2.0}, {0: 3.0}]) == {0: 2.0}
    points = ({"step": 0, "self_bleu": math.nan}, {"step": 10, "self_bleu": 0.5}, {"step": 20, "self_bleu": None})
    (line,) = dynamics_figure([Trajectory("baseline", 1, points)]).axes[0].lines
    assert line.get_xydata().tolist() == [[10, 0.5]]


def test_titles_and_tick_labels_do_not_overlap():
    figure = dynamics_figure([run("baseline", 1), run("polychromic", 2)])
    figure.canvas.draw()
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])
        assert figure.legends[0].get_window_extent().y0 >= box.y1


def test_nothing_measured_is_refused():
    with pytest.raises(MetricError):
        dynamics_figure([Trajectory("baseline", 1, ())])
