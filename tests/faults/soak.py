"""Run as a command: the smoke roadmap on real servers under many seeded kills, compared with an undisturbed run.

    python tests/faults/soak.py --kills 20 --seed 1

Needs Postgres and Redis, as tests/docker does. Exits with 1 where something was lost or doubled.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

from books import Book, faults, local_book, server_book  # noqa: E402
from campaign import AWAY, FLOW, SERVERS, STOP, Campaign, draw_blows  # noqa: E402
from processes import PROFILE, Shell  # noqa: E402
from running import open_stack  # noqa: E402
from stack import missing_programs  # noqa: E402


def main() -> None:
    """Undisturbed first, then lap after lap, each with an empty ledger."""
    options = _options()
    if missing := missing_programs():
        sys.exit(f"not installed: {', '.join(missing)} (Debian: postgresql, redis-server)")
    folder = Path(tempfile.mkdtemp(prefix="polymlops-soak-"))
    began, left, wrong = time.monotonic(), options.kills, []
    undisturbed = local_book(options.undisturbed or _undisturbed(folder, options.roadmap), PROFILE)
    titles = [run.name for run in undisturbed.runs() if run.key]
    _say(f"undisturbed: {len(titles)} stages in {time.monotonic() - began:.0f} s")
    for lap in range(options.kills):
        kills = min(left, 2 * len(titles))
        wrong += _lap(folder / f"lap-{lap}", options, options.seed + lap, kills, undisturbed)
        left -= kills
        if not left:
            break
    shutil.rmtree(folder)
    minutes = (time.monotonic() - began) / 60
    _say(f"{options.kills} kills in {minutes:.0f} minutes, {len(wrong)} things lost or doubled")
    sys.exit(1 if wrong else 0)


def _undisturbed(folder: Path, roadmap: list[str]) -> Path:
    with closing(Shell(folder / "undisturbed")) as shell:
        code, done = shell.run("run", PROFILE, *roadmap, "--set", f"output_dir={folder / 'out'}")
        assert code == 0, done.err
    return folder / "out"


def _lap(folder: Path, options: argparse.Namespace, seed: int, kills: int, undisturbed: Book) -> list[str]:
    titles = [run.name for run in undisturbed.runs() if run.key]
    with open_stack() as stack, closing(Shell(folder)) as shell:
        command = [PROFILE, *options.roadmap, "--set", f"output_dir={folder / 'out'}"]
        command += ["--set", f"tracking.uri=http://{stack.address}:5000"]
        book = server_book(stack, PROFILE)
        campaign = Campaign(stack, shell, book, command, _say)
        wrong = campaign.run(draw_blows(seed, kills, titles, (FLOW, STOP, *SERVERS, AWAY)))
        wrong += faults(book, undisturbed)
        for line in wrong:
            _say(f"WRONG: {line}")
        _say(f"seed {seed}: {kills} kills, {len(campaign.shell.started)} starts, {len(wrong)} things lost or doubled")
        return wrong


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--undisturbed", type=Path, metavar="FOLDER", help="output folder of a run to compare with")
    parser.add_argument("roadmap", nargs="*", metavar="OPTION", help="of `polymlops run`, after --")
    return parser.parse_args()


if __name__ == "__main__":
    main()
