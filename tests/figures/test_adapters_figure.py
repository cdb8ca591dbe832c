import math

import numpy as np
import pytest

from polymlops.analysis.lora_ablation import Ablation, BlockEffect, LayerBlock
from polymlops.analysis.lora_adapters import AdapterState, Place
from polymlops.analysis.lora_parameters import analyze_adapter, compare_adapters
from polymlops.errors import MetricError
from polymlops.figures.adapters import ablation_figure, adapters_figure, place_grid, spectrum_bands
from polymlops.figures.saving import save_figure
from polymlops.records import Estimate

MODULES = ("self_attn.q_proj", "mlp.down_proj")


def adapter(seed=0, layers=3, rank=4, moved=True, stack="model.layers"):
    rng = np.random.default_rng(seed)
    tensors = {}
    for layer in range(layers):
        for module in MODULES:
            stem = f"base_model.model.{stack}.{layer}.{module}.lora_"
            tensors[f"{stem}A.weight"] = rng.normal(size=(rank, 10))
            tensors[f"{stem}B.weight"] = rng.normal(size=(8, rank)) * moved
    return AdapterState({"peft_type": "LORA", "lora_alpha": 4}, tensors)


def titled(figure):
    return {axes.get_title(): axes for part in figure.subfigs for axes in part.axes if axes.get_title()}


def test_heat_maps_show_every_norm_where_it_belongs():
    analysis = analyze_adapter(adapter())
    axes = titled(adapters_figure({"baseline": analysis}))["Baseline LoRA"]
    drawn = np.asarray(axes.images[0].get_array())
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names == ["q_proj", "down_proj"]
    for module in analysis.modules:
        column = names.index(module.place.module.split(".")[-1])
        assert drawn[module.place.layer, column] == module.norm_delta
    assert axes.images[0].origin == "lower"


def test_arms_share_one_scale_and_comparisons_run_from_minus_1_to_1():
    a, b = adapter(), adapter(1)
    figure = adapters_figure(
        {"baseline": analyze_adapter(a), "polychromic": analyze_adapter(b)}, {"Both": compare_adapters(a, b)}
    )
    maps = titled(figure)
    scales = {maps[name].images[0].get_clim() for name in ("Baseline LoRA", "Polychromic LoRA")}
    assert len(scales) == 1
    assert maps["Both"].images[0].get_clim() == (-1, 1)
    expected = {m.cosine for m in compare_adapters(a, b).modules}
    assert set(np.asarray(maps["Both"].images[0].get_array()).ravel()) == expected


def test_relative_norms_are_drawn_only_where_every_arm_has_them():
    figure = adapters_figure({"baseline": analyze_adapter(adapter())})
    labels = [axes.get_ylabel() for axes in figure.subfigs[0].axes]
    assert r"$\|\Delta W\|$" in labels


def test_spectra_are_medians_and_bands_over_the_weights_that_moved():
    analysis = analyze_adapter(adapter())
    relative = np.array([np.array(m.singular_values) / m.singular_values[0] for m in analysis.modules])
    expected = np.quantile(relative, (0.5, 0.1, 0.9), axis=0)
    np.testing.assert_allclose(spectrum_bands(analysis), expected)
    line = adapters_figure({"baseline": analysis}).subfigs[1].axes[0].lines[0]
    np.testing.assert_allclose(line.get_ydata(), expected[0])
    assert spectrum_bands(analyze_adapter(adapter(moved=False))).shape == (3, 0)


def test_a_grid_names_stacks_where_there_are_several_and_leaves_holes():
    places = [Place("text.layers", 0, "a.up"), Place("vision.layers", 0, "b.up"), Place("text.layers", 1, "a.up")]
    grid = place_grid([(place, float(i)) for i, place in enumerate(places)] + [(Place("", None, "lm_head"), 9.0)])
    assert grid.layers == ("text.layers 0", "text.layers 1", "vision.layers 0")
    assert grid.modules == ("a.up", "b.up")
    np.testing.assert_array_equal(grid.values_LM, [[0, np.nan], [2, np.nan], [np.nan, 1]])


def test_an_untrained_adapter_and_many_layers_can_be_drawn(tmp_path):
    figure = adapters_figure(
        {"baseline": analyze_adapter(adapter(moved=False)), "x": analyze_adapter(adapter(layers=40))}
    )
    pdf, png = save_figure(figure, tmp_path, "lora_parameter_analysis")
    assert pdf.stat().st_size > 1000
    assert png.stat().st_size > 1000


def test_labels_of_the_parts_do_not_overlap():
    a, b = adapter(), adapter(1)
    figure = adapters_figure(
        {"baseline": analyze_adapter(a), "detached": analyze_adapter(b)}, {"B": compare_adapters(a, b)}
    )
    figure.canvas.draw()
    boxes = [axes.get_tightbbox() for part in figure.subfigs for axes in part.axes]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])
    legend = figure.subfigs[1].legends[0].get_window_extent()
    assert not any(box.overlaps(legend) for box in boxes)


def effect(block, score, value, half):
    change = Estimate(value, value - half, value + half, 20)
    return BlockEffect(LayerBlock(block, (0,)), score, 0.5, 0.5 + value, change, 0)


def test_effects_are_drawn_with_intervals_and_filled_where_they_exclude_0():
    effects = (effect("0-1", "diversity", -0.2, 0.1), effect("2-3", "diversity", 0.05, 0.1))
    axes = ablation_figure(Ablation(effects, 0.95, 20, 8)).axes[0]
    marks = {tuple(line.get_xydata()[0]): line.get_markerfacecolor() for line in axes.lines if line.get_marker() == "o"}
    assert list(marks) == [(-0.2, 0), (0.05, 1)]
    assert marks[-0.2, 0] != "white"
    assert marks[0.05, 1] == "white"
    spans = [line.get_xdata() for line in axes.lines if line.get_marker() == "None" and len(set(line.get_ydata())) == 1]
    np.testing.assert_allclose(spans, [[-0.3, -0.1], [-0.05, 0.15]])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0-1", "2-3"]


def test_every_score_has_a_panel_and_an_undefined_effect_says_so():
    lost = BlockEffect(LayerBlock("all", (0, 1)), "quality", math.nan, math.nan, Estimate(math.nan), 20)
    figure = ablation_figure(Ablation((effect("all", "diversity", -0.2, 0.1), lost), 0.95, 20, 8))
    assert [axes.get_xlabel() for axes in figure.axes] == ["change of diversity", "change of quality"]
    assert [text.get_text() for text in figure.axes[1].texts] == [" undefined"]
    figure.canvas.draw()


def test_nothing_to_draw_is_refused():
    with pytest.raises(MetricError):
        adapters_figure({})
    with pytest.raises(MetricError):
        ablation_figure(Ablation((), 0.95, 0, 0))
    with pytest.raises(MetricError):
        place_grid([(Place("", None, "lm_head"), 1.0)])
