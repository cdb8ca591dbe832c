"""Every stage has a pool, and no phase goes round them."""

import ast
import importlib
from pathlib import Path

import pytest

import tasks
from flows.pools import STAGES
from polymlops.tracking.prices import GPU_STAGES
from tasks.stage_task import StageTask

FOLDER = Path(tasks.__file__).parent
FLOWS = sorted((FOLDER.parent / "flows").glob("*.py"))
DECIDES = {"execution.py", "stage_run.py"}


def test_every_stage_has_one_pool():
    modules = [importlib.import_module(f"tasks.{path.stem}") for path in FOLDER.glob("*.py") if path.stem != "__init__"]
    found = {value.name for module in modules for value in vars(module).values() if isinstance(value, StageTask)}
    assert sorted(task.name for task in STAGES) == sorted(found)
    # A base model that is taken as it is has a stage of its own, of the task that makes one.
    assert GPU_STAGES - {"take_base_model"} < found


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.name)
def test_no_phase_decides_where_its_stages_run(path):
    names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
    assert path.name in DECIDES or not names & {"InProcess", "OnPools"}
