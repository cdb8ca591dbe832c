"""Seeded kills of a short run and of the servers that it uses; tests/faults/soak.py kills whole roadmaps."""

from __future__ import annotations

import pytest
from books import faults, server_book
from campaign import FLOW, SERVERS, STOP, Campaign, draw_blows, forget
from processes import PROFILE
from short import NAME, SHORT

KILLS, SEEDS = 4, range(1, 6)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("seed", SEEDS)
def test_seeded_kills_lose_and_double_nothing(seed, stack, shell, tmp_path, undisturbed):
    name = f"{NAME}-{seed}"
    command = [PROFILE, *SHORT, "--set", f"name={name}", "--set", f"output_dir={tmp_path / 'out'}"]
    command += ["--set", f"tracking.uri=http://{stack.address}:5000"]
    book = server_book(stack, name)
    campaign = Campaign(stack, shell, book, command)
    assert campaign.run(draw_blows(seed, KILLS, list(undisturbed.finished()), (FLOW, *SERVERS))) == []
    assert faults(book, undisturbed) == []
    assert len(shell.started) > 1
    forget(stack, name)


def test_blows_are_drawn_by_the_seed_and_hit_every_victim():
    titles, victims = [f"stage {number}" for number in range(10)], (FLOW, STOP, *SERVERS)
    blows = draw_blows(3, 15, titles, victims)
    assert blows == draw_blows(3, 15, titles, victims) != draw_blows(4, 15, titles, victims)
    assert sorted(blow.victim for blow in blows) == sorted(victims * 3)
    places = [(titles.index(blow.title), blow.after == "FINISHED") for blow in blows]
    assert places == sorted(places)
    assert len(set(places)) == 15
