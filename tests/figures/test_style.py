import re
from typing import get_args

import pytest

from polymlops.config.code_slices import code_tuned_arms
from polymlops.config.profiles import load_config
from polymlops.config.schema import Arm
from polymlops.figures.curves import Curve, curves_figure
from polymlops.figures.saving import save_figure
from polymlops.figures.style import ARMS, LONGEST_LABEL, SPARE, arm_styles, better
from polymlops.records import Estimate


def test_known_arms_always_look_the_same():
    assert arm_styles(["polychromic"])["polychromic"] == arm_styles(["x", "baseline", "polychromic"])["polychromic"]
    assert len({style.colour for style in ARMS.values()}) == len({style.marker for style in ARMS.values()}) == len(ARMS)


def test_every_arm_of_a_report_has_its_style():
    arms = get_args(Arm)
    trained_on_programs = {arm for arm, _ in code_tuned_arms(load_config("code-grpo"))}
    assert {*arms, *trained_on_programs} <= set(ARMS)


def test_unknown_arms_keep_their_name_and_differ():
    styles = arm_styles(["mine", "yours", "mine"])
    assert [style.label for style in styles.values()] == ["mine", "yours"]
    assert len({(style.colour, style.marker) for style in styles.values()}) == 2
    assert all(re.fullmatch("#[0-9A-F]{6}", colour) for colour, _ in SPARE)


@pytest.mark.parametrize("name", ["$x_{", r"\$a$", "<b>&'\"", "a\nb\tc", "_hidden", "x" * 10_000, "$" * 10_000])
def test_names_are_text_in_a_legend(tmp_path, name):
    figure = curves_figure([Curve(name, "pass@k", {k: Estimate(0.5, 0.4, 0.6, 3) for k in (1, 2)})])
    save_figure(figure, tmp_path, "curves")
    figure.draw_without_rendering()
    [shown] = [text for text in figure.legends[0].get_texts() if text.get_text() != "pass@k"]
    assert len(shown.get_text().strip()) <= 2 * LONGEST_LABEL
    assert shown.get_text().isprintable()
    assert shown.get_window_extent().width < figure.bbox.width


def test_arrows_point_to_the_better_side():
    assert better("quality", True) == "quality (better →)"
    assert better("cost", False) == "cost (← better)"
