"""Names are printed as they are."""

import pytest

from flows.score_printing import print_scores
from polymlops.report.score_table import ScoreRow


@pytest.mark.parametrize("arm", ["[/bold] x", "[red]x[/red]", "<b>x</b>", ":smile: x"])
def test_markup_in_a_name_is_text(capsys, arm):
    print_scores(
        [ScoreRow(arm, "pass_at_1", 0.5, 0.25, 0.75, 4, 0, 1, "higher")], {"notes": [], "settings": {}}, as_json=False
    )
    assert arm in capsys.readouterr().out
