"""`run_roadmap` from Python: in a plain script, in a notebook's cell (an event loop runs there), in async code."""

import json
import sys

import nbformat
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

START = """
import asyncio, json

from flows import run_roadmap
from polymlops.config.profiles import load_config

config = load_config("smoke", ["output_dir={folder}", "evaluation.resamples={resamples}"])


def told(results):
    return {"run": results.parent_run_id, "phases": sorted(name for name, phase in results if name != "parent_run_id")}
"""
PLAIN = """
answer = told(run_roadmap(config))
"""
CELL = """
assert asyncio.get_running_loop().is_running()
answer = told(run_roadmap(config))
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


def in_script(code, shell, tmp_path):
    """Stdout of a script."""
    script = tmp_path / "script.py"
    script.write_text(code)
    started = shell.start(sys.executable, str(script))
    assert started.wait() == 0, started.err
    return started.out


def in_notebook(code, shell, tmp_path):
    """Stdout of a notebook's cell, by a kernel of Jupyter's."""
    path = tmp_path / "notebook.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)]), path)
    command = (sys.executable, "-m", "jupyter", "execute", str(path), "--inplace", "--kernel_name=python3")
    started = shell.start(*command)
    assert started.wait() == 0, started.err
    (cell,) = nbformat.read(path, as_version=4).cells
    return "".join(output.text for output in cell.outputs if output.get("name") == "stdout")


WAYS = {"plain": (in_script, PLAIN, 301), "cell": (in_notebook, CELL, 302), "async": (in_script, ASYNC, 303)}


@pytest.mark.parametrize("way", ["cell", *(pytest.param(way, marks=pytest.mark.long) for way in ("plain", "async"))])
def test_roadmap_runs_from_python(way, shell, after_smoke, tmp_path):
    """On the finished smoke run, with another number of resamples: its reports are made again, here."""
    told_by, body, resamples = WAYS[way]
    start = START.replace("{folder}", str(after_smoke)).replace("{resamples}", str(resamples))
    answer = json.loads(told_by(start + body + END, shell, tmp_path).splitlines()[-1])
    assert answer["phases"] == ["core", "depth", "generalization", "novel"]
    assert answer.get("ticks", 11) > 10
