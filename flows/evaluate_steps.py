"""The steps of one evaluation in one folder: each is done once, and a killed call goes on at the first unfinished."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from polymlops.records import Job

UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps leave their files in `out/<name>`; `key` names the evaluation, whose unfinished work lies apart."""

    out: Path
    key: str

    @property
    def scratch(self) -> Path:
        """Of this evaluation."""
        return self.out / UNFINISHED / self.key

    def begin(self) -> None:
        """Remove what another evaluation left unfinished here: its files would be taken for ours."""
        for folder in (self.out / UNFINISHED).glob("*"):
            if folder != self.scratch:
                shutil.rmtree(folder)

    def do(self, name: str, work: Callable[[Job], Mapping[str, float]]) -> Mapping[str, float]:
        """Do a step, unless this evaluation has done it; gives its metrics."""
        done = self.scratch / f"{name}.json"
        if done.is_file() and (self.out / name).is_dir():
            known: dict[str, float] = json.loads(done.read_text(encoding="utf-8"))
            return known
        shutil.rmtree(self.out / name, ignore_errors=True)
        job = Job(self.out / name, self.scratch / name, lambda metrics, step: None)
        for folder in (job.output, job.scratch):
            folder.mkdir(parents=True, exist_ok=True)
        metrics = {metric: float(value) for metric, value in work(job).items()}
        written = done.with_suffix(".part")
        written.write_text(json.dumps(metrics), encoding="utf-8")
        written.replace(done)
        return metrics

    def end(self) -> None:
        """Everything is done: nothing is unfinished."""
        shutil.rmtree(self.out / UNFINISHED)
