"""A fingerprint changes with the source that is reached, and with nothing else."""

import ast
from pathlib import Path

import pytest

import tasks
from polymlops.tracking import fingerprint
from polymlops.tracking.fingerprint import (
    LIBRARY,
    SourceTree,
    folder_fingerprint,
    reached_modules,
    source_fingerprint,
    work_fingerprint,
)

FILES = {
    "__init__.py": "",
    "start.py": "from lib.middle import f\nimport numpy\n",
    "middle.py": "def f():\n    from . import deep\n    return deep.g()\n",
    "deep/__init__.py": '"""Deep."""\n\nfrom .below import g\n',
    "deep/below.py": 'def g():\n    """Do."""\n    return "x # y"  # why\n',
    "unrelated.py": "A = 1\n",
    "config.py": "B = 1\n",
}
WORK = "def work():\n    from lib import start, config\n    return start.f()\n"


@pytest.fixture
def tree(tmp_path) -> SourceTree:
    folder = tmp_path / "lib"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return SourceTree("lib", folder, outside=("config",))


def test_reaches_through_functions_packages_and_relative_imports(tree):
    assert reached_modules([WORK], tree) == {"lib", "lib.start", "lib.middle", "lib.deep", "lib.deep.below"}


@pytest.mark.parametrize("name", ["__init__.py", "start.py", "middle.py", "deep/__init__.py", "deep/below.py"])
def test_change_of_a_reached_file_counts(tree, name):
    before = source_fingerprint([WORK], tree)
    (tree.folder / name).write_text(FILES[name] + "C = 1\n")
    assert source_fingerprint([WORK], tree) != before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("unrelated.py", "A = 2\n"),
        ("config.py", "B = 2\n"),
        ("new.py", "D = 1\n"),
        ("deep/below.py", '# new\ndef g():\n    """Do\n    more."""\n\n    return "x # y"\n'),
    ],
)
def test_what_cannot_change_a_result_does_not_count(tree, name, text):
    before = source_fingerprint([WORK], tree)
    (tree.folder / name).write_text(text)
    assert source_fingerprint([WORK], tree) == before


def test_string_that_looks_like_a_comment_counts(tree):
    before = source_fingerprint([WORK], tree)
    (tree.folder / "deep" / "below.py").write_text(FILES["deep/below.py"].replace("x # y", "x # z"))
    assert source_fingerprint([WORK], tree) != before


def test_work_itself_counts(tree):
    assert source_fingerprint([WORK.replace("start.f()", "start.f() + 1")], tree) != source_fingerprint([WORK], tree)


def test_versions_of_numeric_packages_count(tree, monkeypatch):
    monkeypatch.setattr(fingerprint, "_public_version", fingerprint._public_version.__wrapped__)  # remembers nothing
    before = source_fingerprint([WORK], tree)
    monkeypatch.setattr("polymlops.tracking.fingerprint.version", lambda name: "0.1")
    changed = source_fingerprint([WORK], tree)
    monkeypatch.setattr("polymlops.tracking.fingerprint.version", lambda name: "0.1+cpu")
    assert before != changed
    assert source_fingerprint([WORK], tree) == changed


def test_real_stage_reaches_its_library_and_no_tracking():
    source = Path(tasks.__file__).with_name("preparation.py").read_text()
    reached = reached_modules([source], LIBRARY)
    assert {"polymlops.data.preparation", "polymlops.data.world_posts", "polymlops.training.pretraining"} <= reached
    assert not {module for module in reached if module.split(".")[1:2] in (["config"], ["tracking"], ["errors"])}


def test_function_and_folder_are_read_from_disk(tmp_path):
    def work():
        from polymlops.metrics import pass_at_k

        return pass_at_k

    def other():
        from polymlops.metrics import pareto

        return pareto

    assert work_fingerprint(work) != work_fingerprint(other)
    (tmp_path / "a.py").write_text("from polymlops.metrics import pareto\n")
    one = folder_fingerprint(tmp_path)
    (tmp_path / "b.py").write_text("from polymlops.metrics import pass_at_k\n")
    assert folder_fingerprint(tmp_path) != one


def test_parser_that_collides_with_another_thread_is_asked_again(monkeypatch, tmp_path):
    """CPython 3.11: `AST constructor recursion depth mismatch` where two threads parse; seen in a worker."""
    (tmp_path / "a.py").write_text("from polymlops.metrics import pareto\n")
    wanted, parse, failures = folder_fingerprint(tmp_path), ast.parse, iter([True, True, False])

    def collides(text):
        if next(failures, False):
            raise SystemError("AST constructor recursion depth mismatch (before=69, after=94)")
        return parse(text)

    monkeypatch.setattr("polymlops.tracking.fingerprint._KNOWN", {})  # what was read once is not read again
    monkeypatch.setattr("polymlops.tracking.fingerprint.ast.parse", collides)
    assert folder_fingerprint(tmp_path) == wanted
    assert next(failures, None) is None
