import subprocess
import sys

import pytest

from polymlops.config.hashing import content_hash
from polymlops.config.profiles import load_config


def test_equal_values_have_equal_hashes_in_any_order_and_process():
    config = load_config("demo")
    assert content_hash({"a": 1, "b": (1, 2)}) == content_hash({"b": [1, 2], "a": 1})
    code = (
        "from polymlops.config.hashing import content_hash; from polymlops.config.profiles import load_config;"
        "print(content_hash(load_config('demo')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == content_hash(config)


def test_any_change_changes_the_hash():
    assert content_hash(load_config("demo")) != content_hash(load_config("demo", ["lora.r=15"]))
    assert content_hash(1, 2) != content_hash([1, 2])


def test_nan_has_no_hash():
    with pytest.raises(ValueError, match="JSON"):
        content_hash(float("nan"))


def test_importing_config_imports_nothing_heavy():
    code = (
        "import sys, polymlops.config.profiles, polymlops.config.slices, polymlops.records, polymlops.refs;"
        "print(sorted({'torch', 'mlflow', 'prefect', 'transformers', 'numpy', 'polars'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
