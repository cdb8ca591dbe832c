"""Candidates made elsewhere: read as a stream, checked as a whole, kept as columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from polymlops.errors import InputError
from polymlops.evaluation.candidate_files import CHUNK, RowStream, arm_of, open_rows, place
from polymlops.evaluation.candidate_rows import SELECTOR, is_used, missing_columns, parse_row

SCHEMA = {
    "line": pl.Int64,
    "arm": pl.String,
    "seed": pl.Int64,
    "prompt_id": pl.String,
    "sample_id": pl.String,
    "text": pl.String,
    "passed": pl.Boolean,
    "quality": pl.Float64,
    "verdict": pl.String,
    "reason": pl.String,
}
JUDGEMENTS = ("passed", "quality")
KEY = ("arm", "seed", "prompt_id", "sample_id")
MAX_FAULTS = 10
UNTRAINED_SEED = 0


@dataclass(frozen=True, slots=True)
class Candidates:
    """One row a candidate, ordered by arm, seed and prompt.

    `text`, `passed` and `quality` are null for an arm that has none; `seed` is 0 where no file names one. `verdict` and
    `reason` are null but where a harness could not judge a candidate: `passed` and `quality` are null there, and only
    there in an arm that has them. `ignored` are the columns that mean nothing here.
    """

    frame: pl.DataFrame
    ignored: tuple[str, ...]

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms, in the order in which they were met."""
        return tuple(self.frame.sort("file", "line")["arm"].unique(maintain_order=True))

    @property
    def selectors(self) -> tuple[str, ...]:
        """Names of the selector columns."""
        return tuple(name for name in self.frame.columns if name.startswith(SELECTOR))


@dataclass
class Faults:
    """What is wrong with the input so far, one line each; the tenth stops the reading."""

    lines: list[str] = field(default_factory=list)

    def add(self, where: str, what: str) -> None:
        """Note a fault. Raises InputError where there are enough of them."""
        self.lines.append(f"{where}: {what}")
        if len(self.lines) >= MAX_FAULTS:
            self.lines.append(f"stopped after {MAX_FAULTS} faults")
            self.stop()

    def stop(self) -> None:
        """Raise InputError with all of them, where there are any."""
        if self.lines:
            raise InputError("\n".join(self.lines))


def read_candidates(paths: Sequence[Path], needs_text: bool = True) -> Candidates:
    """Read files of candidates; rows without an arm get the file's name, rows without a sample their order.

    Raises: InputError with up to ten faults, one line each: the file, the line (or row), what is wrong and the remedy.
    """
    faults, ignored = Faults(), set[str]()
    frames = []
    for index, path in enumerate(paths):
        frame, extra = _read_file(path, needs_text, faults)
        ignored |= extra
        frames.append(frame.with_columns(pl.lit(index, pl.Int64).alias("file")))
    faults.stop()
    frame = pl.concat(frames, how="diagonal")
    _check_whole(frame, paths, faults)
    faults.stop()
    return Candidates(frame.sort("arm", "seed", "prompt_id", maintain_order=True), tuple(sorted(ignored)))


def _read_file(path: Path, needs_text: bool, faults: Faults) -> tuple[pl.DataFrame, set[str]]:
    """The rows of one file, and its ignored columns; faulty rows are left out."""
    from tqdm import tqdm

    chunks, ignored = [pl.DataFrame(schema=SCHEMA)], set[str]()
    faulty = len(faults.lines)
    with open_rows(path) as stream:
        _check_columns(path, stream.columns, needs_text)
        ignored |= {name for name in stream.columns or () if not is_used(name)}
        bar = tqdm(total=stream.total, unit=stream.unit, unit_scale=True, desc=f"read {path.name}", disable=None)
        with bar:
            for rows in _chunks(path, stream, needs_text, faults, ignored):
                selectors = {name for row in rows for name in row} - set(SCHEMA)
                chunks.append(pl.DataFrame(rows, schema=SCHEMA | dict.fromkeys(sorted(selectors), pl.Float64)))
                bar.update(stream.position() - bar.n if stream.position else len(rows))
    frame = pl.concat(chunks, how="diagonal")
    if frame.is_empty() and len(faults.lines) == faulty:
        faults.add(str(path), "holds no candidate: write one a line")
    return _filled(frame, path, faults), ignored


def _chunks(
    path: Path, stream: RowStream, needs_text: bool, faults: Faults, ignored: set[str]
) -> Iterable[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    columns_known = stream.columns is not None
    for row in stream.rows:
        if row.values is None:
            faults.add(place(path, row.number), row.fault)
            continue
        if not columns_known:
            _check_columns(path, tuple(row.values), needs_text, row.number)
            columns_known = True
        try:
            rows.append({"line": row.number, **parse_row(row.values, needs_text)})
        except InputError as error:
            faults.add(place(path, row.number), str(error))
        ignored.update(name for name in row.values if not is_used(name))
        if len(rows) == CHUNK:
            yield rows
            rows = []
    yield rows


def _check_columns(path: Path, columns: tuple[str, ...] | None, needs_text: bool, line: int | None = None) -> None:
    missing = [] if columns is None else missing_columns(columns, needs_text)
    where = str(path) if line is None else place(path, line)
    if missing:
        raise InputError("\n".join(f"{where}: {message}" for message in missing))


def _filled(frame: pl.DataFrame, path: Path, faults: Faults) -> pl.DataFrame:
    """Arm, seed and sample where the file names none."""
    for name in ("arm", "seed", "sample_id"):
        _check_partial(frame, name, path, faults, "the file")
    order = pl.int_range(pl.len()).over("arm", "seed", "prompt_id").cast(pl.String)
    if frame["arm"].null_count():
        frame = frame.with_columns(pl.col("arm").fill_null(arm_of(path)))
    return frame.with_columns(pl.col("seed").fill_null(UNTRAINED_SEED)).with_columns(
        pl.col("sample_id").fill_null(order)
    )


def _check_whole(frame: pl.DataFrame, paths: Sequence[Path], faults: Faults) -> None:
    """What no single row shows: columns that part of an arm has, and the same candidate twice."""
    optional = [name for name in frame.columns if name in ("text", "passed", "quality") or name.startswith(SELECTOR)]
    for (arm,), rows in frame.group_by("arm", maintain_order=True):
        for name in optional:
            _check_partial(rows, name, paths, faults, f"arm {arm}")
    seen_before = pl.struct(KEY).is_first_distinct().not_()
    for row in frame.filter(seen_before).head(MAX_FAULTS).iter_rows(named=True):
        same = pl.all_horizontal(pl.col(name) == row[name] for name in KEY)
        first = frame.filter(same).row(0, named=True)
        what = f"arm {row['arm']}, seed {row['seed']}, prompt {row['prompt_id']}, sample {row['sample_id']}"
        where = place(paths[first["file"]], first["line"])
        faults.add(place(paths[row["file"]], row["line"]), f"{what} is already at {where}: drop one, or number samples")


def _check_partial(rows: pl.DataFrame, name: str, paths: Path | Sequence[Path], faults: Faults, whose: str) -> None:
    excused = pl.col("verdict").is_not_null() if name in JUDGEMENTS else pl.lit(False)
    missing = rows.filter(pl.col(name).is_null() & ~excused)
    if missing.is_empty() or rows[name].null_count() == len(rows):
        return
    first = missing.row(0, named=True)
    path = paths if isinstance(paths, Path) else paths[first["file"]]
    counted = f"{len(missing)} of the {len(rows)} rows of {whose}"
    faults.add(place(path, first["line"]), f"{name} is missing here, and in {counted}: give it to all or to none")
