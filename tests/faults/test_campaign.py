"""A few seeded kills of a run and of the servers that it uses; tests/faults/soak.py is the long one."""

from __future__ import annotations

import pytest
from books import faults, server_book
from campaign import FLOW, SERVERS, STOP, Campaign, draw_blows
from processes import PROFILE
from short import NAME, SHORT

KILLS, SEED = 4, 1


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_seeded_kills_lose_and_double_nothing(stack, shell, tmp_path, undisturbed):
    command = [PROFILE, *SHORT, "--set", f"output_dir={tmp_path / 'out'}"]
    command += ["--set", f"tracking.uri=http://{stack.address}:5000"]
    book = server_book(stack, NAME)
    campaign = Campaign(stack, shell, book, command)
    assert campaign.run(draw_blows(SEED, KILLS, list(undisturbed.finished()), (FLOW, *SERVERS))) == []
    assert faults(book, undisturbed) == []
    assert len(shell.started) > 1


def test_blows_are_drawn_by_the_seed_and_hit_every_victim():
    titles, victims = [f"stage {number}" for number in range(10)], (FLOW, STOP, *SERVERS)
    blows = draw_blows(3, 15, titles, victims)
    assert blows == draw_blows(3, 15, titles, victims) != draw_blows(4, 15, titles, victims)
    assert sorted(blow.victim for blow in blows) == sorted(victims * 3)
    places = [(titles.index(blow.title), blow.after == "FINISHED") for blow in blows]
    assert places == sorted(places)
    assert len(set(places)) == 15
