"""Tables on disk."""

import json
import math

import numpy as np
import polars as pl

from polymlops.evaluation.candidate_scores import ArmValues
from polymlops.report.json_files import json_ready
from polymlops.report.latex import booktabs, escaped
from polymlops.report.score_files import diversity_frame, shown, write_rows
from polymlops.report.score_table import ScoreRow

ROWS = (
    ScoreRow("m", "pass_at_1", 0.5, 0.25, 0.75, 4, 0, 1, "higher"),
    ScoreRow("m", "der_at_2", math.nan, math.nan, math.nan, 4, 0, 1, "", note="pass@1 is 0"),
    ScoreRow("m", "collapse_point", 4.0, 3.0, math.inf, 4, 0, 1, ""),
)


def test_rows_are_the_same_in_parquet_csv_and_json(tmp_path):
    write_rows(ROWS, tmp_path, "table")
    parquet, csv = pl.read_parquet(tmp_path / "table.parquet"), pl.read_csv(tmp_path / "table.csv")
    assert parquet["value"].to_list() == csv["value"].to_list() == [0.5, None, 4.0]
    assert parquet["high"].to_list() == [0.75, None, math.inf]
    rows = json.loads((tmp_path / "table.json").read_text())
    assert [row["high"] for row in rows] == [0.75, None, None]
    assert rows[1]["note"] == "pass@1 is 0"


def test_latex_is_a_booktabs_table_with_its_commands_escaped():
    text = booktabs([["metric", "a_b"], ["pass_at_1", r"50 % & \more"]])
    assert text.splitlines() == [
        r"% needs \usepackage{booktabs}",
        r"\begin{tabular}{lc}",
        r"\toprule",
        r"metric & a\_b \\",
        r"\midrule",
        r"pass\_at\_1 & 50 \% \& \textbackslash{}more \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    assert escaped("{$^~#<>}") == r"\{\$\textasciicircum{}\textasciitilde{}\#\textless{}\textgreater{}\}"


def test_a_line_break_does_not_end_a_cell_of_latex():
    assert escaped("a\n\nb\tc\x00") == "a  b c "


def test_numbers_for_people():
    assert [shown(x) for x in (0.12345, -1e-9, math.nan, math.inf, 12345.6)] == [
        "0.123",
        "0.000",
        "-",
        "beyond n",
        "12345.600",
    ]
    assert shown(7.0, 0) == "7"
    assert json_ready({"a": [math.nan, (math.inf, 1)]}) == {"a": [None, [None, 1]]}


def test_diversity_has_a_row_for_every_prompt_that_a_seed_answers():
    values = {"vendi": np.array([[1.0, np.nan], [2.0, 3.0]])}
    arm = ArmValues("m", (1, 2), ("p", "q"), np.array([[2, 0], [2, 2]]), None, "", (), ("vendi",), values)
    frame = diversity_frame([arm])
    assert frame.rows() == [("m", 1, "p", 1.0), ("m", 2, "p", 2.0), ("m", 2, "q", 3.0)]
    assert diversity_frame([]).is_empty()
