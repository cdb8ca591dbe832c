"""Tables for papers: LaTeX with the rules of the `booktabs` package."""

from __future__ import annotations

from collections.abc import Sequence

ESCAPED = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def escaped(text: str) -> str:
    """Text with the characters that LaTeX would take as commands escaped; line breaks and the like become spaces."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return "".join(ESCAPED.get(character, character) for character in line)


def booktabs(rows: Sequence[Sequence[str]]) -> str:
    """A tabular of plain text cells; the first row is the head, the first column is left-aligned."""
    lines = [" & ".join(escaped(cell) for cell in row) + r" \\" for row in rows]
    head, *body = lines
    columns = "l" + "c" * (len(rows[0]) - 1)
    table = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        head,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "% needs \\usepackage{booktabs}\n" + "\n".join(table) + "\n"
