"""Run as a command: the smoke roadmap on real servers under many seeded kills, compared with an undisturbed run.

    python tests/faults/soak.py --kills 20 --seed 1
    python tests/faults/soak.py --kills 10 --pools -- --phase 1    # stages on two workers, which are victims, too

Needs Postgres and Redis, as tests/docker does. Exits with 1 where something was lost or doubled.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

from books import Book, faults, local_book, server_book  # noqa: E402
from campaign import AWAY, FLOW, POOLS, SERVERS, STOP, WORKERS, Campaign, draw_blows, forget  # noqa: E402
from processes import PROFILE, Shell  # noqa: E402
from running import open_stack  # noqa: E402
from stack import Stack, missing_programs  # noqa: E402


def main() -> None:
    """Undisturbed first, then lap after lap, each with an empty ledger and a kill for every stage."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))  # so that what was started is ended
    if missing := missing_programs():
        sys.exit(f"not installed: {', '.join(missing)} (Debian: postgresql, redis-server)")
    folder = Path(tempfile.mkdtemp(prefix="polymlops-soak-"))
    began, done, wrong = time.monotonic(), 0, 0
    undisturbed = local_book(options.undisturbed or _undisturbed(folder, options.roadmap), PROFILE)
    titles = [run.name for run in undisturbed.runs() if run.key]
    _say(f"undisturbed: {len(titles)} stages in {time.monotonic() - began:.0f} s")
    with open_stack() as stack:
        while done < options.kills:
            kills = min(options.kills - done, len(titles))
            seed = options.seed + done
            lap = Lap(folder / f"seed-{seed}", seed, kills, options.roadmap, POOLS if options.pools else ())
            found = lap.run(stack, undisturbed, titles)
            done, wrong = done + kills, wrong + len(found)
            minutes = (time.monotonic() - began) / 60
            _say(f"{done} kills in {minutes:.0f} minutes, {wrong} things lost or doubled")
    shutil.rmtree(folder)
    sys.exit(1 if wrong else 0)


def _undisturbed(folder: Path, roadmap: list[str]) -> Path:
    with closing(Shell(folder / "undisturbed")) as shell:
        code, done = shell.run("run", PROFILE, *roadmap, "--set", f"output_dir={folder / 'out'}")
        assert code == 0, done.err
    return folder / "out"


@dataclass(frozen=True)
class Lap:
    """One roadmap under kills, in an experiment of its own that is deleted afterwards."""

    folder: Path
    seed: int
    kills: int
    roadmap: list[str]
    pools: Sequence[str]

    def run(self, stack: Stack, undisturbed: Book, titles: list[str]) -> list[str]:
        """What was lost or doubled."""
        name = f"soak-{self.seed}"
        command = [PROFILE, *self.roadmap, "--set", f"output_dir={self.folder / 'out'}", "--set", f"name={name}"]
        command += ["--set", f"tracking.uri=http://{stack.address}:5000"]
        book = server_book(stack, name)
        with closing(Shell(self.folder)) as shell:
            campaign = Campaign(stack, shell, book, command, _say, self.pools)
            victims = (FLOW, STOP, *SERVERS, AWAY)
            if self.pools:
                campaign.deploy()
                command += ["--set", "execution.mode=pools"]
                victims += WORKERS
            wrong = campaign.run(draw_blows(self.seed, self.kills, titles, victims))
        wrong += faults(book, undisturbed)
        for line in wrong:
            _say(f"WRONG: {line}")
        _say(f"seed {self.seed}: {self.kills} kills, {len(shell.started)} starts of the command")
        forget(stack, name)
        return wrong


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pools", action="store_true", help="stages are done by workers of the pools gpu and cpu")
    parser.add_argument("--undisturbed", type=Path, metavar="FOLDER", help="output folder of a run to compare with")
    parser.add_argument("roadmap", nargs="*", metavar="OPTION", help="of `polymlops run`, after --")
    return parser.parse_args()


if __name__ == "__main__":
    main()
