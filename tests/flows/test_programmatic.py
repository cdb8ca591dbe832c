"""`run_roadmap` from Python: in a plain script, where an event loop runs already (a notebook's cell), in async code."""

import json
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

START = """
import asyncio, json, sys

from flows import run_roadmap
from polymlops.config.profiles import load_config

config = load_config("smoke", ["output_dir=" + sys.argv[1], "evaluation.resamples=" + sys.argv[2]])


def told(results):
    return {"run": results.parent_run_id, "phases": sorted(name for name, phase in results if name != "parent_run_id")}
"""
PLAIN = """
answer = told(run_roadmap(config))
"""
CELL = """
async def cell():  # what a notebook does with a cell: synchronous code, in a thread whose event loop runs
    return told(run_roadmap(config))

answer = asyncio.run(cell())
"""
ASYNC = """
async def program():
    ticks, roadmap = 0, asyncio.create_task(asyncio.to_thread(run_roadmap, config))
    while not roadmap.done():
        await asyncio.sleep(0.01)
        ticks += 1
    return told(await roadmap) | {"ticks": ticks}

answer = asyncio.run(program())
"""
END = """
print(json.dumps(answer))
"""
WAYS = {"plain": (PLAIN, "301"), "cell": (CELL, "302"), "async": (ASYNC, "303")}


@pytest.mark.parametrize("way", WAYS)
def test_roadmap_runs_from_python(way, shell, after_smoke, tmp_path):
    """On the finished smoke run, with another number of resamples: its reports are made again, here."""
    body, resamples = WAYS[way]
    script = tmp_path / "script.py"
    script.write_text(START + body + END)
    started = shell.start(sys.executable, str(script), str(after_smoke), resamples)
    assert started.wait() == 0, started.err
    answer = json.loads(started.out.splitlines()[-1])
    assert answer["phases"] == ["core", "depth", "generalization", "novel"]
    assert answer.get("ticks", 11) > 10
