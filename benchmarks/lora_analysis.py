"""The parameter analysis of a Qwen3-8B-shaped adapter, and the dense SVD of one of its modules, timed.

    python benchmarks/lora_analysis.py [--dense-module k_proj] [--save]

The adapter has random factors of rank 16 on all seven linear layers of 36 layers; it is written to a temporary folder
and analysed from there. The dense SVD is of one module's Delta W (by default the 4096 x 12288 of down_proj: minutes);
its singular values must be ours. `--save` puts the table into RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from side_by_side import machine, write_section
from threadpoolctl import threadpool_info

from polymlops.analysis.lora_parameters import analyze_adapter, compare_adapters

LAYERS, RANK, LIMIT = 36, 16, 30.0
HIDDEN, INNER, QUERY, KEY = 4096, 12288, 32 * 128, 8 * 128
# (out, in) of each module of a layer.
SHAPES = {
    "self_attn.q_proj": (QUERY, HIDDEN),
    "self_attn.k_proj": (KEY, HIDDEN),
    "self_attn.v_proj": (KEY, HIDDEN),
    "self_attn.o_proj": (HIDDEN, QUERY),
    "mlp.gate_proj": (INNER, HIDDEN),
    "mlp.up_proj": (INNER, HIDDEN),
    "mlp.down_proj": (HIDDEN, INNER),
}
TOLERANCE = 1e-6  # of the largest singular value


def main() -> None:
    """Time both, check that they agree, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [name.split(".")[1] for name in SHAPES]
    parser.add_argument("--dense-module", choices=names, default="down_proj", help="the module for the dense SVD")
    parser.add_argument("--save", action="store_true", help="write the table to RESULTS.md")
    arguments = parser.parse_args()
    threads = max(pool["num_threads"] for pool in threadpool_info())
    title = [
        "## LoRA analysis",
        "",
        f"{machine().replace('one core', f'{threads} thread(s) for matrix products')}.",
        "",
    ]
    print(*title, sep="\n")
    with tempfile.TemporaryDirectory() as folder:
        lines = list(rows(Path(folder), next(name for name in SHAPES if name.endswith(arguments.dense_module))))
    if arguments.save:
        write_section("lora_analysis", [*title, *lines])


def rows(folder: Path, dense_module: str) -> Iterator[str]:
    """The table, each line printed as it comes."""
    adapters = [write_adapter(folder / name, seed) for seed, name in enumerate(("a", "b"))]
    yield shown("| task | seconds | limit |")
    yield shown("|---|---:|---|")
    analysis, taken = timed(lambda: analyze_adapter(adapters[0]))
    verdict = "met" if taken < LIMIT else "**missed**"
    yield shown(f"| analysis, {len(analysis.modules)} modules of rank {RANK} | {taken:.2f} | {LIMIT:g}, {verdict} |")
    comparison, compared = timed(lambda: compare_adapters(*adapters))
    yield shown(f"| comparison of two such adapters, {len(comparison.modules)} modules | {compared:.2f} | |")
    ours = next(module for module in analysis.modules if module.place.module == dense_module)
    dense = delta(adapters[0], ours.path)
    values, dense_taken = timed(lambda: np.linalg.svd(dense, full_matrices=False)[1])
    error = float(np.abs(values[:RANK] - ours.singular_values).max() / values[0])
    if not error <= TOLERANCE:
        raise AssertionError(f"{ours.path}: our singular values differ from the dense SVD's by {error:.1e} of sigma_1")
    size = f"{dense.shape[0]} x {dense.shape[1]}"
    yield shown(f"| dense SVD of one module, {dense_module}, {size}, float64 | {dense_taken:.1f} | |")
    yield shown("")
    yield shown(
        f"Largest difference of the {RANK} singular values: {error:.1e} of sigma_1. One module by the dense SVD takes "
        f"{dense_taken / taken:.3g} times as long as all {len(analysis.modules)} by their factors."
    )


def write_adapter(folder: Path, seed: int) -> Path:
    """An adapter folder as PEFT writes it, with normal factors in float32."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    tensors = {}
    for layer in range(LAYERS):
        for name, (out, inputs) in SHAPES.items():
            stem = f"base_model.model.model.layers.{layer}.{name}.lora_"
            tensors[f"{stem}A.weight"] = rng.standard_normal((RANK, inputs), dtype=np.float32) / np.float32(64)
            tensors[f"{stem}B.weight"] = rng.standard_normal((out, RANK), dtype=np.float32) / np.float32(64)
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": RANK, "lora_alpha": RANK}))
    return folder


def delta(folder: Path, path: str) -> np.ndarray:
    """Delta W of one module, formed; alpha = r, so that the scaling is 1."""
    from safetensors import safe_open

    with safe_open(folder / "adapter_model.safetensors", "np") as file:
        a, b = (file.get_tensor(f"base_model.model.{path}.lora_{name}.weight").astype(np.float64) for name in "AB")
    return b @ a


def timed(call):
    """What a call returns, and its seconds."""
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start


def shown(line: str) -> str:
    """Print a line and hand it on."""
    print(line, flush=True)
    return line


if __name__ == "__main__":
    main()
