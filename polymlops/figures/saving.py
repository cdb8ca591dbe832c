"""Figures to files: vector PDF and PNG, the same bytes for the same figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 300


def save_figure(figure: Figure, folder: Path, name: str) -> tuple[Path, Path]:
    """Write `<name>.pdf` and `<name>.png` into `folder` without date or versions in them; returns both paths."""
    import matplotlib

    pdf, png = folder / f"{name}.pdf", folder / f"{name}.png"
    # Type 42: publishers refuse the default Type 3 fonts.
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        figure.savefig(pdf, metadata={"CreationDate": None, "Creator": None, "Producer": None})
    figure.savefig(png, dpi=DOTS_PER_INCH, metadata={"Software": None})
    return pdf, png
