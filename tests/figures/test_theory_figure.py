import math

import numpy as np
import pytest

from polymlops.analysis.theory import Prediction, TheoryReport, check_best_of_n_kl, check_der_bounds, fit_entropy_law
from polymlops.analysis.theory_predictions import undefined
from polymlops.errors import MetricError
from polymlops.figures.theory import PANELS, theory_figure
from polymlops.records import Estimate


def prediction(k, predicted, residual, half, holds, theory="pass@k, beta-binomial"):
    estimate = Estimate(residual, residual - half, residual + half, 50)
    return Prediction(theory, k, Estimate(predicted), predicted + residual, estimate, holds, "")


def test_predictions_are_dashed_and_measurements_stand_with_their_interval():
    axes = theory_figure(
        [TheoryReport("baseline", (prediction(2, 0.5, 0.1, 0.2, True), prediction(8, 0.7, -0.2, 0.1, False)))]
    ).axes[0]
    (dashed,) = [line for line in axes.lines if line.get_linestyle() == "--"]
    np.testing.assert_allclose(dashed.get_xydata(), [[2, 0.5], [8, 0.7]])
    filled, hollow = [line for line in axes.lines if line.get_linestyle() == "None"]
    np.testing.assert_allclose(filled.get_xydata(), [[2, 0.6]])
    np.testing.assert_allclose(hollow.get_xydata(), [[8, 0.5]])
    assert hollow.get_markerfacecolor() == "white"
    spans = [line.get_ydata() for line in axes.lines if line.get_linestyle() == "-" and len(line.get_ydata()) == 2]
    np.testing.assert_allclose(spans, [[0.4, 0.8], [0.4, 0.6]])


def test_every_theory_that_says_something_has_its_panel():
    steps = np.arange(20)
    entropy = np.linspace(1, 0.2, 20)
    law = fit_entropy_law(steps, entropy, 1 - 0.3 * np.exp(entropy))
    predictions = (
        prediction(2, 0.5, 0.1, 0.2, True),
        *law.predictions,
        *check_best_of_n_kl([0.5, 0.5], [0, 1], [1, 2]),
        *check_der_bounds({1: 0.2, 2: 0.3, 3: 0.35}),
        undefined("USQ gain, normal", 3, "too few"),
    )
    figure = theory_figure([TheoryReport("baseline", predictions), TheoryReport("mine", predictions[:1])])
    shown = [axes.get_title() for axes in figure.axes if axes.get_visible()]
    assert shown == [theory for theory in PANELS if theory != "USQ gain, normal"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "Baseline LoRA",
        "mine",
        "predicted",
        "fails",
    ]
    bounds = next(axes for axes in figure.axes if axes.get_title() == "DER bounds")
    edge = bounds.collections[0].get_paths()[0].vertices
    heights = edge[np.isclose(edge[:, 0], 3), 1]
    assert heights.min() == pytest.approx(1 / 3)
    assert heights.max() == pytest.approx(1)


def test_panels_and_legend_do_not_overlap():
    predictions = (*(prediction(k, 0.1 * k, 0.0, 0.1, None, theory) for k in (1, 5, 9) for theory in PANELS),)
    figure = theory_figure([TheoryReport("baseline", predictions)])
    figure.canvas.draw()
    boxes = [axes.get_tightbbox() for axes in figure.axes if axes.get_visible()]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])
        assert figure.legends[0].get_window_extent().y0 >= box.y1


def test_nothing_defined_is_refused():
    nothing = undefined("DER bounds", 2, "no sample passes")
    assert math.isnan(nothing.measured)
    with pytest.raises(MetricError):
        theory_figure([TheoryReport("baseline", (nothing,))])
