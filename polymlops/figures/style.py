"""One look for all figures: colours that colour-blind readers can tell apart, labels of arms, sizes for a column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito 2008, "Color Universal Design", less the yellow that vanishes on white.
BLACK, ORANGE, SKY, GREEN, BLUE, VERMILION, PURPLE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
GREY = "#7F7F7F"
# Tol 2021, "Colour schemes", muted: three that keep apart from those above.
INDIGO, OLIVE, WINE = "#332288", "#999933", "#882255"
COLUMN_WIDTH = 3.4  # inches, one column of a two-column page
TEXT_SIZE = 7.5  # points
SMALL_SIZE = 6.5


@dataclass(frozen=True, slots=True)
class ArmStyle:
    """How one arm looks in every figure; markers differ too, for print without colour."""

    label: str
    colour: str
    marker: str


ARMS: Mapping[str, ArmStyle] = MappingProxyType(
    {
        "zero_shot": ArmStyle("Zero-shot", GREY, "s"),
        "few_shot": ArmStyle("Few-shot prompt", ORANGE, "^"),
        "baseline": ArmStyle("Baseline LoRA", BLUE, "o"),
        "polychromic": ArmStyle("Polychromic LoRA", VERMILION, "D"),
        "lambda_zero": ArmStyle("Control: lambda 0", GREEN, "X"),
        "detached": ArmStyle("Control: no gradient", BLACK, "*"),
        "baseline_grpo": ArmStyle("Baseline + GRPO", SKY, "v"),
        "polychromic_grpo": ArmStyle("Polychromic + GRPO", PURPLE, "P"),
        "code_mean": ArmStyle("Unit tests: mean", INDIGO, "d"),
        "code_max": ArmStyle("Unit tests: max", OLIVE, "H"),
        "code_polychromic": ArmStyle("Unit tests: polychromic", WINE, "8"),
    }
)
LONGEST_LABEL = 40  # characters in a legend
SPARE = ((GREEN, "X"), (BLACK, "*"), (SKY, "<"), (PURPLE, ">"), (ORANGE, "p"), (GREY, "h"))


def arm_styles(arms: Iterable[str]) -> dict[str, ArmStyle]:
    """Style of each arm, in order; names that the project does not know get the spare colours and keep their name.

    In a label a name is text, whatever is in it; one too long for a legend is cut.
    """
    unique = list(dict.fromkeys(arms))
    unknown = [arm for arm in unique if arm not in ARMS]
    spare = {arm: ArmStyle(_label(arm), *SPARE[i % len(SPARE)]) for i, arm in enumerate(unknown)}
    return {arm: ARMS[arm] if arm in ARMS else spare[arm] for arm in unique}


def _label(name: str) -> str:
    """A name on one line, without what matplotlib would read as mathematics."""
    line = "".join(character if character.isprintable() else " " for character in name)
    short = line if len(line) <= LONGEST_LABEL else f"{line[: LONGEST_LABEL - 1]}\N{HORIZONTAL ELLIPSIS}"
    shown = f" {short}" if short.startswith("_") else short  # a legend leaves out labels that begin so
    return shown.replace("$", r"\$")


def new_figure(height: float, width: float = COLUMN_WIDTH) -> Figure:
    """Return an empty figure in inches that belongs to no pyplot state; its layout makes room for a legend outside."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def dress(axes: Axes) -> None:
    """Give axes the common look: small text, no box, a faint grid behind the data."""
    axes.tick_params(labelsize=SMALL_SIZE, length=2.5, width=0.6)
    axes.xaxis.label.set_fontsize(TEXT_SIZE)
    axes.yaxis.label.set_fontsize(TEXT_SIZE)
    axes.title.set_fontsize(TEXT_SIZE)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_linewidth(0.6)
    axes.grid(color="#E6E6E6", linewidth=0.5)
    axes.set_axisbelow(True)


def legend_above(figure: Figure, handles: list, columns: int = 2) -> None:
    """Put one legend above the panels, where it covers no data."""
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=columns,
        frameon=False,
        fontsize=SMALL_SIZE,
        handlelength=1.8,
        columnspacing=1.4,
        labelspacing=0.35,
        borderaxespad=0.2,
    )


def better(label: str, maximise: bool) -> str:
    """An axis label that says which way is better; on a rotated label the arrow turns with it."""
    return f"{label} (better \N{RIGHTWARDS ARROW})" if maximise else f"{label} (\N{LEFTWARDS ARROW} better)"
