"""LoRA adapters in pictures: how far each weight moved, spectra, where two adapters differ, what a block carries."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from polymlops.analysis.lora_ablation import Ablation, BlockEffect
from polymlops.analysis.lora_adapters import Place
from polymlops.analysis.lora_comparison import AdapterComparison
from polymlops.analysis.lora_parameters import AdapterAnalysis
from polymlops.config.schema import ALL_LINEAR
from polymlops.errors import MetricError
from polymlops.figures.style import BLUE, GREY, SMALL_SIZE, TEXT_SIZE, arm_styles, dress, legend_above, new_figure
from polymlops.metrics.arrays import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

PAGE_WIDTH = 7.0  # inches, both columns
SEQUENTIAL, DIVERGING, MISSING = "cividis", "PuOr", "#E0E0E0"
LAYER_HEIGHT, MOST_LABELS = 0.055, 24  # inches; columns that can be named
BAND = (0.1, 0.9)  # quantiles over weights
NO_COMPARISONS: Mapping[str, AdapterComparison] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Grid:
    """Values by layer (rows) and module (columns); NaN where the adapter has no such weight."""

    layers: tuple[str, ...]
    modules: tuple[str, ...]
    values_LM: Floats


def adapters_figure(
    analyses: Mapping[str, AdapterAnalysis], comparisons: Mapping[str, AdapterComparison] = NO_COMPARISONS
) -> Figure:
    """Draw heat maps of ||Delta W|| / ||W|| (or ||Delta W||), one an arm, the arms' spectra, and maps of the cosine.

    `analyses` goes from arm to its analysis, `comparisons` from a title to a comparison. All heat maps of a row share
    their scale. Weights outside numbered layers are not drawn.

    Raises: MetricError without analyses, or without a weight in a layer.
    """
    if not analyses:
        raise MetricError("a figure of adapters needs at least one analysis")
    relative = all(math.isfinite(m.relative_norm) for analysis in analyses.values() for m in analysis.modules)
    grids = {
        arm: place_grid((m.place, m.relative_norm if relative else m.norm_delta) for m in analysis.modules)
        for arm, analysis in analyses.items()
    }
    cosines = {title: place_grid((m.place, m.cosine) for m in both.modules) for title, both in comparisons.items()}
    depth = max(len(grid.layers) for grid in (*grids.values(), *cosines.values()))
    map_height = 0.9 + max(0.9, LAYER_HEIGHT * depth)
    heights = [map_height, 1.9, *([map_height] if cosines else [])]
    figure = new_figure(height=sum(heights), width=PAGE_WIDTH)
    grid_spec = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    parts = [figure.add_subfigure(grid_spec[row]) for row in range(len(heights))]
    styles = arm_styles(analyses)
    top = max(float(np.nanmax(grid.values_LM, initial=0.0)) for grid in grids.values())
    label = r"$\|\Delta W\|\,/\,\|W\|$" if relative else r"$\|\Delta W\|$"
    _heat_maps(parts[0], {styles[arm].label: grid for arm, grid in grids.items()}, (0, top or 1.0), label)
    _spectra(parts[1], analyses)
    if cosines:
        _heat_maps(parts[2], cosines, (-1, 1), r"cosine of the two $\Delta W$")
    return figure


def ablation_figure(ablation: Ablation) -> Figure:
    """Draw the change of every score without each block of layers, with its interval; filled where it excludes 0.

    Raises: MetricError without effects.
    """
    if not ablation.effects:
        raise MetricError("a figure of an ablation needs at least one block")
    from matplotlib.ticker import MaxNLocator

    scores = list(dict.fromkeys(effect.score for effect in ablation.effects))
    blocks = list(dict.fromkeys(effect.block.name for effect in ablation.effects))
    figure = new_figure(height=0.7 + 0.2 * len(blocks), width=min(PAGE_WIDTH, 1.2 + 2.0 * len(scores)))
    panels = figure.subplots(1, len(scores), sharey=True, squeeze=False)[0]
    for axes, score in zip(panels, scores, strict=True):
        axes.axvline(0, color=GREY, linewidth=0.8)
        for effect in (effect for effect in ablation.effects if effect.score == score):
            _draw_effect(axes, blocks.index(effect.block.name), effect)
        axes.set_xlabel(f"change of {score}")
        axes.set_yticks(range(len(blocks)), blocks)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        dress(axes)
    panels[0].set_ylim(len(blocks) - 0.5, -0.5)
    panels[0].set_ylabel("layers switched off")
    return figure


def place_grid(values: Iterable[tuple[Place, float]]) -> Grid:
    """Lay values out by layer and module, in the order of the layers; the stack is named where there are several.

    Raises: MetricError where no value belongs to a layer.
    """
    placed = [(place, value) for place, value in values if place.layer is not None]
    if not placed:
        raise MetricError("no adapted weight lies in a numbered layer: there is nothing to lay out")
    several = len({place.stack for place, _ in placed}) > 1
    rows = list(dict.fromkeys((place.stack, place.layer or 0) for place, _ in sorted(placed, key=_order)))
    modules = sorted({place.module for place, _ in placed}, key=_module_order)
    values_LM = np.full((len(rows), len(modules)), np.nan)
    for place, value in placed:
        values_LM[rows.index((place.stack, place.layer or 0)), modules.index(place.module)] = value
    names = tuple(f"{stack} {layer}" if several else str(layer) for stack, layer in rows)
    return Grid(names, _short(modules), values_LM)


def spectrum_bands(analysis: AdapterAnalysis) -> Floats:
    """Singular values relative to the largest, (3, r): median over weights and the ends of the band; zeros are NaN.

    r is the shortest spectrum; weights that did not move are left out. Empty where none did.
    """
    moved = [module.singular_values for module in analysis.modules if module.norm_delta > 0]
    if not moved:
        return np.empty((3, 0))
    shortest = min(len(values) for values in moved)
    relative_NR = np.array([np.array(values[:shortest]) / values[0] for values in moved])
    bands_3R = np.quantile(relative_NR, (0.5, *BAND), axis=0)
    bands_3R[bands_3R <= 0] = np.nan  # a logarithmic axis has no place for them
    return bands_3R


def _order(entry: tuple[Place, float]) -> tuple[str, int]:
    place, _ = entry
    return place.stack, place.layer or 0


def _module_order(module: str) -> tuple[int, str]:
    """As data flows through a layer: attention, then the feed-forward part; unknown names follow."""
    last = module.split(".")[-1]
    return (ALL_LINEAR.index(last) if last in ALL_LINEAR else len(ALL_LINEAR)), module


def _short(modules: Sequence[str]) -> tuple[str, ...]:
    last = [module.split(".")[-1] for module in modules]
    return tuple(last) if len(set(last)) == len(last) else tuple(modules)


def _heat_maps(part: SubFigure, grids: Mapping[str, Grid], limits: tuple[float, float], label: str) -> None:
    panels = part.subplots(1, len(grids), squeeze=False)[0]
    for axes, (title, grid) in zip(panels, grids.items(), strict=True):
        image = _heat_map(axes, grid, limits)
        axes.set_title(title, fontsize=TEXT_SIZE)
    panels[0].set_ylabel("layer", fontsize=TEXT_SIZE)
    bar = part.colorbar(image, ax=list(panels), shrink=0.9, pad=0.01)
    bar.set_label(label, fontsize=TEXT_SIZE)
    bar.ax.tick_params(labelsize=SMALL_SIZE, length=2)


def _heat_map(axes: Axes, grid: Grid, limits: tuple[float, float]) -> Any:
    from matplotlib import colormaps

    colours = colormaps[DIVERGING if limits[0] < 0 else SEQUENTIAL].with_extremes(bad=MISSING)
    image = axes.imshow(grid.values_LM, cmap=colours, vmin=limits[0], vmax=limits[1], aspect="auto", origin="lower")
    axes.tick_params(labelsize=SMALL_SIZE, length=2)
    axes.set_xticks([])
    if len(grid.modules) <= MOST_LABELS:
        axes.set_xticks(range(len(grid.modules)), grid.modules, rotation=45, ha="right", rotation_mode="anchor")
    every = max(1, math.ceil(len(grid.layers) / 12))
    axes.set_yticks(range(0, len(grid.layers), every), grid.layers[::every])
    return image


def _spectra(part: SubFigure, analyses: Mapping[str, AdapterAnalysis]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    axes = part.subplots()
    handles = []
    for arm, style in arm_styles(analyses).items():
        middle_R, low_R, high_R = spectrum_bands(analyses[arm])
        index_R = np.arange(1, len(middle_R) + 1)
        axes.fill_between(index_R, low_R, high_R, color=style.colour, alpha=0.14, linewidth=0)
        axes.plot(index_R, middle_R, color=style.colour, marker=style.marker, markersize=2.6, linewidth=1.2)
        handles.append(Line2D([], [], color=style.colour, marker=style.marker, markersize=3, label=style.label))
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
    axes.set_xlabel(r"singular value of $\Delta W$, by rank")
    axes.set_ylabel(r"$\sigma_i\,/\,\sigma_1$, median of weights")
    dress(axes)
    axes.tick_params(which="minor", labelsize=SMALL_SIZE)
    owner: Any = part  # a subfigure takes the same legend as a figure
    legend_above(owner, handles, columns=4)


def _draw_effect(axes: Axes, row: int, effect: BlockEffect) -> None:
    change = effect.change
    if math.isnan(change.value):
        axes.text(0, row, " undefined", fontsize=SMALL_SIZE, va="center", color=GREY)
        return
    if not math.isnan(change.low):
        axes.plot([change.low, change.high], [row, row], color=BLUE, linewidth=1.1)
    face = BLUE if change.excludes_zero else "white"
    axes.plot(change.value, row, "o", color=BLUE, markersize=4, markerfacecolor=face)
