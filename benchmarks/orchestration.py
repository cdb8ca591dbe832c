"""What Prefect and MLflow cost: `python benchmarks/orchestration.py [--profile smoke] [--folder F] [--write]`.

The roadmap as `polymlops run` does it, against the same stages called as plain functions in one process, without a
tracking server, a flow or a ledger; each in a process of its own, in turns, and first the tables and reports of both
are found equal. Then a second, cached run, and the start-up of `polymlops --help` and `polymlops plan`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from side_by_side import machine, write_section

SHARE, LEAST_S, CACHED_S, HELP_S, PLAN_S, STARTS = 0.05, 15.0, 30.0, 1.0, 5.0, 5
PLAIN = """
import sys, time
from pathlib import Path
from flows.environment import set_environment
from polymlops.config.profiles import load_config

config = load_config(sys.argv[1], [f"output_dir={sys.argv[2]}"])
set_environment(config)
from flows.phases import novel_stages
from flows.stored import named_results
from polymlops.records import Job
from polymlops.tracking.manifest import read_folder
from polymlops.tracking.stage import Outcome

done, made = {}, Path(sys.argv[2])


class Plainly:
    def run(self, stage):
        key = stage.key()
        if key not in done:
            job = Job(made / key / "output", made / key / "scratch", lambda metrics, step: None)
            for folder in (job.output, job.scratch):
                folder.mkdir(parents=True)
            stage.work({role: Path(ref.uri) for role, ref in stage.inputs.items()}, job)
            digest = read_folder(job.output).digest
            done[key] = stage.result(run_id=stage.title, uri=str(job.output), digest=digest)
        return Outcome(done[key], cached=False, seconds=0.0)


def call(task, /, *args, **kwargs):
    return task.fn(Plainly(), *args, **kwargs).ref


novel_stages(call, config, named_results(call, config))
print({ref.run_id: ref.digest for ref in done.values()})
"""


def main() -> None:
    """Check, time, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="smoke")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--start-ups-only", action="store_true")
    parser.add_argument("--folder", type=Path, help="what the runs leave is kept there")
    parser.add_argument("--write", action="store_true", help="put the result into RESULTS.md")
    options = parser.parse_args()
    lines = ["| what | s | asked |", "|---|---:|---|"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        lines += [] if options.start_ups_only else runs(options.profile, options.rounds, folder)
        lines += start_ups(Path(temporary))
    print("\n".join(lines))
    if options.write:
        write_section("orchestration", ["## Orchestration", "", f"{machine()}.", "", *lines])


def runs(profile: str, rounds: int, folder: Path) -> Iterator[str]:
    """Rows of the roadmap, plain and orchestrated, and of its second run."""
    plain, through, cached = [], [], []
    for turn in range(rounds):
        plain_dir, through_dir = folder / f"plain-{turn}", folder / f"through-{turn}"
        plain.append(seconds([sys.executable, "-c", PLAIN, profile, str(plain_dir)]))
        command = [sys.executable, "-m", "flows.cli", "run", profile, "--json", "--set", f"output_dir={through_dir}"]
        through.append(seconds(command))
        check(plain_dir, through_dir)
        cached.append(seconds(command))
    base, more = statistics.median(plain), statistics.median(through) - statistics.median(plain)
    allowed = max(SHARE * base, LEAST_S)
    yield f"| {profile}, plain functions | {base:.1f} | |"
    yield f"| {profile}, through Prefect and MLflow: more | {more:+.1f} | {allowed:.1f}: {verdict(more <= allowed)} |"
    again = statistics.median(cached)
    yield f"| {profile}, a second run | {again:.1f} | {CACHED_S:.0f}: {verdict(again < CACHED_S)} |"


def check(plain: Path, through: Path) -> None:
    """Both made the same tables and figures' data; what the clock decides (`cpu_seconds`) is in neither."""
    ours, theirs = (files(each) for each in (plain, through))
    assert ours, "the plain run left no table"
    missing = ours - theirs
    assert not missing, f"{len(missing)} of {len(ours)} tables differ"


def files(folder: Path) -> set[str]:
    """Contents of the metric tables, wherever they lie."""
    return {json.dumps(json.loads(path.read_text()), sort_keys=True) for path in folder.rglob("output/table.json")}


def start_ups(folder: Path) -> Iterator[str]:
    """Rows of commands that do nothing."""
    for name, arguments, most in (("--help", ["--help"], HELP_S), ("plan demo", ["plan", "demo"], PLAN_S)):
        command = [sys.executable, "-m", "flows.cli", *arguments]
        taken = [seconds(command, folder) for _ in range(STARTS)]
        median = statistics.median(taken)
        yield f"| polymlops {name}, median of {STARTS} | {median:.2f} | {most:.0f}: {verdict(median < most)} |"


def seconds(command: Sequence[str], folder: Path | None = None) -> float:
    """Wall seconds of a command that succeeds."""
    root = str(Path(__file__).resolve().parent.parent)
    env = os.environ | {"PYTHONPATH": root, "OMP_WAIT_POLICY": "PASSIVE"}
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, env=env)
    return time.perf_counter() - start


def verdict(good: bool) -> str:
    """In a table's words."""
    return "met" if good else "**missed**"


if __name__ == "__main__":
    main()
