"""What theory predicted and what was measured, a panel a theory; open markers where the prediction fails."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from polymlops.analysis.theory import Prediction, TheoryReport
from polymlops.analysis.theory_predictions import Theory
from polymlops.errors import MetricError
from polymlops.figures.style import GREY, ArmStyle, arm_styles, dress, legend_above, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Panel:
    """Labels of one theory's axes."""

    x: str
    y: str


PANELS: Mapping[Theory, Panel] = MappingProxyType(
    {
        "pass@k, beta-binomial": Panel("k, fitted on half of the samples", "pass@k"),
        "USQ gain, normal": Panel("k, candidates shown", "USQ@k - mean"),
        "reward by entropy": Panel("optimizer step", "reward"),
        "best-of-n KL": Panel("n", "KL to the policy, nats"),
        "DER bounds": Panel("k, candidates shown", "DER@k and its range"),
    }
)
COLUMNS, PANEL_HEIGHT, PAGE_WIDTH = 2, 1.75, 7.0


def theory_figure(reports: Sequence[TheoryReport]) -> Figure:
    """Draw predictions (dashed, or a range) and measurements (markers, with the residual's interval) of all arms.

    Undefined predictions are not drawn. Raises: MetricError where none is defined.
    """
    drawn = {
        theory: {report.arm: series for report in reports if (series := _defined(report, theory))} for theory in PANELS
    }
    panels = [theory for theory in PANELS if drawn[theory]]
    if not panels:
        raise MetricError("no prediction is defined: there is nothing to draw")
    from matplotlib.ticker import MaxNLocator

    styles = arm_styles(report.arm for report in reports)
    rows = math.ceil(len(panels) / COLUMNS)
    figure = new_figure(height=0.5 + PANEL_HEIGHT * rows, width=PAGE_WIDTH)
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    for theory, axes in zip(panels, grid.flat, strict=False):
        for arm, series in drawn[theory].items():
            _draw(axes, series, styles[arm])
        axes.set_title(theory)
        axes.set_xlabel(PANELS[theory].x)
        axes.set_ylabel(PANELS[theory].y)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, steps=[1, 2, 5, 10]))
        dress(axes)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    legend_above(figure, _handles(styles), columns=4)
    return figure


def _defined(report: TheoryReport, theory: Theory) -> list[Prediction]:
    found = [p for p in report.predictions if p.theory == theory and not math.isnan(p.measured)]
    return sorted(found, key=lambda prediction: prediction.at)


def _draw(axes: Axes, series: Sequence[Prediction], style: ArmStyle) -> None:
    at = [p.at for p in series]
    if np.isnan([p.predicted.value for p in series]).all():
        low, high = [p.predicted.low for p in series], [p.predicted.high for p in series]
        axes.fill_between(at, low, high, color=style.colour, alpha=0.12, linewidth=0)
    axes.plot(at, [p.predicted.value for p in series], color=style.colour, linewidth=1.1, linestyle="--")
    for prediction in series:
        interval = [prediction.predicted.value + end for end in (prediction.residual.low, prediction.residual.high)]
        axes.plot([prediction.at] * 2, interval, color=style.colour, linewidth=0.8)
    for holds in (True, False):
        points = [p for p in series if (p.holds is not False) is holds]
        face = style.colour if holds else "white"
        axes.plot(
            [p.at for p in points],
            [p.measured for p in points],
            linestyle="",
            marker=style.marker,
            color=style.colour,
            markersize=3.2,
            markerfacecolor=face,
        )


def _handles(styles: Mapping[str, ArmStyle]) -> list:
    from matplotlib.lines import Line2D

    arms = [
        Line2D([], [], color=style.colour, marker=style.marker, markersize=3, linestyle="", label=style.label)
        for style in styles.values()
    ]
    return [
        *arms,
        Line2D([], [], color=GREY, linestyle="--", linewidth=1.1, label="predicted"),
        Line2D([], [], color=GREY, marker="o", markersize=3, linestyle="", markerfacecolor="white", label="fails"),
    ]
