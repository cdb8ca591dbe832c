"""Inside the model in pictures: heads that changed, where arms part, how hidden states group, gradients by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from polymlops.analysis.mechanistic import AttentionComparison, ClusterSummary, DepthComparison
from polymlops.analysis.mechanistic_attention import MEASURES, AttentionMeasure
from polymlops.errors import MetricError
from polymlops.figures.style import (
    GREY,
    SMALL_SIZE,
    SPARE,
    TEXT_SIZE,
    arm_styles,
    dress,
    legend_above,
    new_figure,
)
from polymlops.metrics.arrays import Floats
from polymlops.records import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAGE_WIDTH, ROW_HEIGHT = 7.0, 1.7  # inches
UNITS: Mapping[AttentionMeasure, str] = {
    "entropy": "entropy, nats",
    "normalised_entropy": "normalised entropy",
    "distance": "distance, tokens",
}
MOST_MARKS = 200  # heads above which dots would be all that is seen
CLUSTER_PANELS = {"silhouette": "silhouette of true intents", "excess": "clusters - intents", "agreement": "agreement"}


def attention_figure(comparisons: Sequence[AttentionComparison]) -> Figure:
    """Draw the change of every head, layers x heads: a row a pair of arms, a column a measure, one scale a column.

    A dot marks a head whose interval excludes 0. Raises: MetricError without comparisons.
    """
    if not comparisons:
        raise MetricError("a figure of attention needs at least one pair of arms")
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(height=0.5 + ROW_HEIGHT * len(comparisons), width=PAGE_WIDTH)
    grid = figure.subplots(len(comparisons), len(MEASURES), squeeze=False)
    for column, measure in enumerate(MEASURES):
        panels = [head_grid(comparison, measure) for comparison in comparisons]
        top = max(float(np.abs(values_LH).max()) for values_LH, _ in panels) or 1.0
        for axes, comparison, (values_LH, marked_LH) in zip(grid[:, column], comparisons, panels, strict=True):
            image = axes.imshow(values_LH, cmap="PuOr", vmin=-top, vmax=top, aspect="auto", origin="lower")
            if values_LH.size <= MOST_MARKS:
                layers, heads = np.nonzero(marked_LH)
                axes.plot(heads, layers, linestyle="", marker=".", markersize=3, color="black")
            axes.tick_params(labelsize=SMALL_SIZE, length=2)
            axes.set_xlabel("head", fontsize=TEXT_SIZE)
            if column == 0:
                axes.set_ylabel(f"{_names(comparison)}\nlayer", fontsize=TEXT_SIZE)
        bar = figure.colorbar(image, ax=list(grid[:, column]), location="top", shrink=0.9, pad=0.02)
        bar.set_label(f"change of {UNITS[measure]}", fontsize=TEXT_SIZE)
        bar.locator = MaxNLocator(nbins=4, symmetric=True)
        bar.update_ticks()
        bar.ax.tick_params(labelsize=SMALL_SIZE, length=2)
    return figure


def head_grid(comparison: AttentionComparison, measure: AttentionMeasure) -> tuple[Floats, np.ndarray]:
    """Changes (layers, heads) of one measure, and where the interval excludes 0."""
    chosen = [head for head in comparison.heads if head.measure == measure]
    shape = max(head.layer for head in chosen) + 1, max(head.head for head in chosen) + 1
    values_LH, marked_LH = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
    for head in chosen:
        values_LH[head.layer, head.head] = head.change.value
        marked_LH[head.layer, head.head] = head.change.excludes_zero
    return values_LH, marked_LH


def depth_figure(comparisons: Sequence[DepthComparison]) -> Figure:
    """Draw the divergence of each pair of arms by layer, and the change of entropy, with joint intervals as bands.

    Raises: MetricError without comparisons.
    """
    if not comparisons:
        raise MetricError("a figure of depth needs at least one pair of arms")
    figure = new_figure(height=0.5 + ROW_HEIGHT, width=PAGE_WIDTH)
    left, right = figure.subplots(1, 2)
    right.axhline(0, color=GREY, linewidth=0.8)
    for comparison, (colour, marker) in zip(comparisons, _spare(len(comparisons)), strict=True):
        layers = [layer.layer for layer in comparison.layers]
        style = (colour, marker, _names(comparison))
        _band(left, layers, [layer.kl for layer in comparison.layers], style)
        _band(right, layers, [layer.entropy_change for layer in comparison.layers], style)
    left.set_ylabel("KL between the arms, nats")
    right.set_ylabel("change of entropy, nats")
    for axes in (left, right):
        _by_layer(axes)
    legend_above(figure, left.get_legend_handles_labels()[0], columns=2)
    return figure


def clusters_figure(summaries: Sequence[ClusterSummary]) -> Figure:
    """Draw by layer how hidden states group: silhouette of true intents, clusters too many, agreement with the intents.

    Raises: MetricError where no arm has a prompt with enough candidates.
    """
    drawn = [summary for summary in summaries if summary.layers and summary.layers[0].silhouette.n]
    if not drawn:
        raise MetricError("no prompt has enough distinct candidates to cluster: there is nothing to draw")
    figure = new_figure(height=0.5 + ROW_HEIGHT, width=PAGE_WIDTH)
    panels = figure.subplots(1, len(CLUSTER_PANELS))
    styles = arm_styles(summary.arm for summary in drawn)
    for axes, label in zip(panels, CLUSTER_PANELS.values(), strict=True):
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.set_ylabel(label)
    for summary in drawn:
        style = styles[summary.arm]
        layers = [layer.layer for layer in summary.layers]
        look = (style.colour, style.marker, style.label)
        _band(panels[0], layers, [layer.silhouette for layer in summary.layers], look)
        _band(panels[1], layers, [layer.excess for layer in summary.layers], look)
        _band(panels[2], layers, [layer.agreement for layer in summary.layers], look)
    for axes in panels:
        _by_layer(axes)
    legend_above(figure, panels[0].get_legend_handles_labels()[0], columns=4)
    return figure


def gradients_figure(runs: Mapping[str, Sequence[Mapping[str, float | int | str | None]]]) -> Figure:
    """Draw each run's gradient norms: by step over all layers (left), and by layer, averaged over steps (right).

    `runs` maps a title to rows of `gradient_norms.layer_norms`. Norms of 0, as of a term that is off at a step, are
    not drawn. Raises: MetricError without rows.
    """
    runs = {title: rows for title, rows in runs.items() if rows}
    if not runs:
        raise MetricError("no gradient was recorded: there is nothing to draw")
    figure = new_figure(height=0.5 + ROW_HEIGHT * len(runs), width=PAGE_WIDTH)
    grid = figure.subplots(len(runs), 2, squeeze=False)
    terms = list(dict.fromkeys(term for rows in runs.values() for row in rows for term in row if _is_term(term)))
    colours = dict(zip(terms, _spare(len(terms)), strict=True))
    for (left, right), (title, rows) in zip(grid, runs.items(), strict=True):
        for term in (term for term in terms if term in rows[0]):
            colour, marker = colours[term]
            look = {"color": colour, "marker": marker, "markersize": 2.4, "linewidth": 1.0, "label": term}
            _draw_norms(left, {r["step"]: [r[term]] for r in rows if r["layer"] == "all"}, look)
            by_layer: dict[int, list] = {}
            for row in rows:
                if str(row["layer"]).isdigit():
                    by_layer.setdefault(int(row["layer"] or 0), []).append(row[term])
            _draw_norms(right, dict(sorted(by_layer.items())), look)
        left.set_ylabel(f"{title}\ngradient norm")
        left.set_xlabel("optimizer step")
        for axes in (left, right):
            axes.set_yscale("log")
            dress(axes)
        _by_layer(right)
    legend_above(figure, grid[0][0].get_legend_handles_labels()[0], columns=4)
    return figure


def _is_term(name: str) -> bool:
    return name not in {"step", "layer", "total", "cosine"}


def _draw_norms(axes: Axes, values: Mapping, look: Mapping) -> None:
    """Means of the norms that are not 0, by step or layer."""
    means = {at: np.mean(found) for at, norms in values.items() if (found := [norm for norm in norms if norm])}
    axes.plot(list(means), list(means.values()), **look)


def _names(pair: AttentionComparison | DepthComparison) -> str:
    styles = arm_styles((pair.a, pair.b))
    return f"{styles[pair.b].label}\nagainst {styles[pair.a].label}"


def _spare(count: int) -> list[tuple[str, str]]:
    return [SPARE[index % len(SPARE)] for index in range(count)]


def _band(axes: Axes, layers: Sequence[int], points: Sequence[Estimate], look: tuple[str, str, str]) -> None:
    colour, marker, label = look
    axes.fill_between(layers, [p.low for p in points], [p.high for p in points], color=colour, alpha=0.15, linewidth=0)
    axes.plot(
        layers, [p.value for p in points], color=colour, marker=marker, markersize=2.8, linewidth=1.2, label=label
    )


def _by_layer(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("layer")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    dress(axes)
