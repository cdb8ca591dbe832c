"""Imports point down only: flows -> tasks -> polymlops, and inside the library only to the left."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ["flows", "tasks", "polymlops"]
LAYERS = [
    {"errors", "config", "records", "refs", "profiles"},
    {"metrics"},
    {"data", "models"},
    {"generation", "training"},
    {"evaluation", "analysis"},
    {"figures", "tracking", "report"},
]
FILES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
NEEDS_TORCH = {"torch", "transformers", "trl", "peft", "sentence_transformers", "datasets"}


def imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything imported anywhere below a node, functions included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            if node.module in PACKAGES:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(module: str) -> int | None:
    """Position of a library module's layer; none for what is in no layer."""
    parts = module.split(".")
    if parts[0] != "polymlops" or len(parts) < 2:
        return None
    return next((place for place, names in enumerate(LAYERS) if parts[1] in names), None)


def faults(path: Path, source: str) -> list[str]:
    """What an import rule reader would stop at in a file."""
    package, own = path.parts[0], layer(".".join(path.with_suffix("").parts))
    found = []
    for name in imports(ast.parse(source)):
        head, theirs = name.split(".")[0], layer(name)
        if head in PACKAGES and PACKAGES.index(head) < PACKAGES.index(package):
            found.append(f"{path} imports {name}")
        if package == "polymlops" and head == "prefect":
            found.append(f"{path} imports prefect")
        if own is not None and theirs is not None and theirs > own:
            found.append(f"{path} imports {name}, a layer to its right")
    return found


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_point_down(path):
    assert faults(path, (ROOT / path).read_text(encoding="utf-8")) == []


def test_every_library_folder_has_a_layer():
    names = {path.parts[1].removesuffix(".py") for path in FILES if path.parts[0] == "polymlops"} - {"__init__"}
    assert names <= set().union(*LAYERS)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("polymlops/data/x.py", "def f():\n    import prefect.flows"),
        ("polymlops/data/x.py", "from tasks.arms import train_adapter"),
        ("tasks/x.py", "from flows import run_roadmap"),
        ("polymlops/training/x.py", "from polymlops.evaluation.social import score_samples"),
        ("polymlops/metrics/x.py", "from polymlops import tracking"),
    ],
)
def test_rule_finds_what_it_forbids(path, source):
    assert faults(Path(path), source)


@pytest.mark.parametrize("path", [path for path in FILES if path.parts[0] in {"flows", "tasks"}], ids=str)
def test_flows_and_tasks_load_torch_only_inside_a_stage(path):
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not {name.split(".")[0] for node in top for name in imports(node)} & NEEDS_TORCH


def test_no_file_of_flows_or_tasks_shadows_a_module():
    stems = {path.stem for path in FILES if path.parts[0] in {"flows", "tasks"}} - {"__init__"}
    assert not stems & (set(sys.stdlib_module_names) | {"evaluate", "datasets", "prefect", "mlflow", "rich", "click"})
