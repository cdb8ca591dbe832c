"""Ingest against pandas and polars reading the same file: rows a second and peak memory, each in a process of its own.

The peers only parse the file into a frame in memory; ingest also checks, normalises, filters, drops repeated ids and
writes Parquet. First all three must agree on the rows.

    python benchmarks/ingest.py --rows 1000000
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WORDS = ("the", "of", "to", "and", "in", "is", "it", "you", "that", "he", "was", "for", "on", "are", "with", "they")
NAMES = ("post_id", "post", "reply_id", "reply", "author", "likes", "created")
READERS = ("ingest", "pandas", "polars")


def write_file(path: Path, rows: int) -> None:
    """Rows of 20 + 18 common words, four replies a post."""
    rng = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        if path.suffix == ".csv":
            writer.writerow(NAMES)
        for start in range(0, rows, 10_000):
            words = rng.integers(len(WORDS), size=(10_000, 38))
            for number, chosen in enumerate(words[: rows - start].tolist(), start=start):
                post = " ".join(WORDS[i] for i in chosen[:20])
                reply = " ".join(WORDS[i] for i in chosen[20:]) + f" {number}"
                author, likes = f"a{number * 7919 % (rows // 3 + 1)}", number * 31 % 97
                row = (f"p{number // 4}", post, f"r{number}", reply, author, likes, "2024-01-01T00:00:00")
                if path.suffix == ".csv":
                    writer.writerow(row)
                else:
                    file.write(json.dumps(dict(zip(NAMES, row, strict=True))) + "\n")


def read(reader: str, path: Path) -> dict[str, float]:
    """Read the file in this process: rows, sum of likes and of characters, cpu seconds, MiB above the imports."""
    begin, before = time.process_time(), _peak()
    if reader == "pandas":
        import pandas as pd

        begin, before = time.process_time(), _peak()
        frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_json(path, lines=True)
        figures = len(frame), frame["likes"].sum(), frame["reply"].str.len().sum()
    elif reader == "polars":
        import polars as pl

        begin, before = time.process_time(), _peak()
        frame = pl.read_csv(path) if path.suffix == ".csv" else pl.read_ndjson(path)
        figures = len(frame), frame["likes"].sum(), frame["reply"].str.len_chars().sum()
    else:
        figures = _ingest(path)
    rows, likes, characters = map(float, figures)
    spent = time.process_time() - begin
    return {"rows": rows, "likes": likes, "characters": characters, "seconds": spent, "peak": _peak(), "before": before}


def _ingest(path: Path) -> tuple[float, float, float]:
    import polars as pl

    from polymlops.config.ingest import FileSource
    from polymlops.config.schema import DataConfig
    from polymlops.data.ingest import ingest

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "rows.parquet"
        found = ingest(DataConfig(source=FileSource(path=path)), target)
        if found.drops.total:
            raise SystemExit(f"ingest dropped {found.drops.counts} of a file without faults")
        lazy = pl.scan_parquet(target).select(pl.col("likes").sum(), pl.col("reply").str.len_chars().sum())
        likes, characters = lazy.collect(engine="streaming").row(0)
        return found.rows_kept, likes, characters


def _peak() -> float:
    """Peak resident MiB of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print one line a reader and format."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--formats", nargs="+", default=["jsonl", "csv"])
    parser.add_argument("--readers", nargs="+", default=list(READERS), choices=READERS)
    parser.add_argument("--one", nargs=2, metavar=("READER", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(read(arguments.one[0], Path(arguments.one[1]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        for ending in arguments.formats:
            path = Path(folder) / f"rows.{ending}"
            write_file(path, arguments.rows)
            _compare(path, arguments.readers)
            path.unlink()


def _compare(path: Path, readers: list[str]) -> None:
    found = {}
    for reader in readers:
        command = [sys.executable, __file__, "--one", reader, str(path)]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found[reader] = json.loads(printed.splitlines()[-1])
    agreed = {tuple(result[name] for name in ("rows", "likes", "characters")) for result in found.values()}
    if len(agreed) > 1:
        raise SystemExit(f"the readers disagree: {found}")
    print(
        f"{path.suffix[1:]}, {path.stat().st_size / 2**20:.0f} MiB, agreed on (rows, likes, characters): {agreed.pop()}"
    )
    for reader, result in found.items():
        rate = result["rows"] / result["seconds"]
        print(f"  {reader:<7} {rate:>10,.0f} rows a cpu second, peak {result['peak']:>6,.0f} MiB resident")


if __name__ == "__main__":
    main()
