import subprocess
import sys

HEAVY = [
    *("torch", "transformers", "mlflow", "prefect", "sentence_transformers", "datasets", "evaluate", "matplotlib"),
    *("numba", "polars", "pandas", "scipy", "nltk", "rouge_score", "vendi_score", "sacrebleu"),
]

PROGRAM = f"""
import importlib, pkgutil, sys
import polymlops.metrics
for module in pkgutil.walk_packages(polymlops.metrics.__path__, "polymlops.metrics."):
    # Compiled kernels, and the scripts that evaluate.load imports, are loaded on first use.
    if not module.name.endswith("_kernels") and ".hf." not in module.name:
        importlib.import_module(module.name)
print(*[name for name in {HEAVY!r} if name in sys.modules])
"""


def test_importing_all_metrics_loads_nothing_heavy():
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
