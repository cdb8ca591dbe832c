"""Large sample sets are scored in shards: runs of whole prompts, here one after the other or by workers elsewhere.

What a row gets depends on no shard size: rows are computed `BLOCK` prompts at a time, counted from the set's start, and
a shard is whole blocks. What is computed over the whole set (means, calibrations, judges' agreement) is computed after
the shards have come together. A shard that is done is kept in the scratch folder, whole or not at all.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from polymlops.config.execution import BLOCK
from polymlops.errors import InputError
from polymlops.records import Job

logger = logging.getLogger(__name__)
Frames = Mapping[str, pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Shard:
    """Rows `start` to `start + rows` of a sample set, all of whole prompts."""

    start: int
    rows: int

    @property
    def name(self) -> str:
        """Of its folder; another cut of the set has other names, so that shards of two cuts never mix."""
        return f"shard-{self.start:09d}-{self.rows}"

    def of(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Its rows."""
        return frame.slice(self.start, self.rows)


ScoreShard = Callable[[Shard], Frames]


class ShardWork(Protocol):
    """What is done to every shard; it can be pickled, and does not say where its inputs lie."""

    def opened(self, inputs: Any) -> AbstractContextManager[ScoreShard]:
        """Load what every shard needs, once."""


class Share(Protocol):
    """Has shards done, and gives each with its tables as it comes, in any order."""

    def __call__(self, work: ShardWork, inputs: Any, shards: Sequence[Shard]) -> Iterator[tuple[Shard, Frames]]:
        """Do them all."""


def one_by_one(work: ShardWork, inputs: Any, shards: Sequence[Shard]) -> Iterator[tuple[Shard, Frames]]:
    """Here, in order."""
    with work.opened(inputs) as score:
        for shard in shards:
            yield shard, score(shard)


@dataclass(frozen=True, slots=True)
class Sharing:
    """Who does the shards, and how many prompts each has."""

    share: Share = one_by_one
    prompts: int = 5 * BLOCK


ALONE = Sharing()


def cut(frame: pl.DataFrame, prompts: int) -> list[Shard]:
    """Cut a sample set into shards of so many prompts, in order.

    Raises:
        InputError: the rows of a prompt are not together.
    """
    runs = frame["prompt_id"].rle()
    sizes, ids = runs.struct.field("len").to_list(), runs.struct.field("value")
    if ids.n_unique() < len(ids):
        raise InputError(f"rows of {ids.filter(ids.is_duplicated())[0]!r} are apart: sort the sample set by prompt_id")
    shards, start = [], 0
    for first in range(0, len(sizes), prompts):
        rows = sum(sizes[first : first + prompts])
        shards.append(Shard(start, rows))
        start += rows
    return shards


def by_block(frame: pl.DataFrame, score: Callable[[pl.DataFrame], Frames]) -> dict[str, pl.DataFrame]:
    """Score a shard's rows `BLOCK` prompts at a time."""
    return joined([score(block.of(frame)) for block in cut(frame, BLOCK)])


def joined(parts: Sequence[Frames]) -> dict[str, pl.DataFrame]:
    """Tables of the same names, one below the other."""
    return {name: pl.concat([part[name] for part in parts], rechunk=True) for name in parts[0]}


def gathered(work: ShardWork, inputs: Any, frame: pl.DataFrame, sharing: Sharing, job: Job) -> Frames:
    """The tables of a whole sample set, in its order; only shards that the scratch folder lacks are done.

    Raises:
        InputError: the set is empty, or the rows of a prompt are not together.
    """
    from tqdm import tqdm

    shards, scratch = cut(frame, sharing.prompts), job.scratch
    if not shards:
        raise InputError("the sample set is empty: sample again")
    missing = [shard for shard in shards if not (scratch / shard.name).is_dir()]
    if len(missing) < len(shards):
        logger.info("%d of %d shards were done before", len(shards) - len(missing), len(shards))
    done = frame.height - sum(shard.rows for shard in missing)
    with tqdm(total=frame.height, initial=done, desc="score", unit="text", disable=None) as bar:
        for shard, tables in sharing.share(work, inputs, missing) if missing else ():
            _keep(tables, scratch / shard.name)
            bar.update(shard.rows)
            done += shard.rows
            job.progress(done, frame.height, "text")
    return joined([_kept(scratch / shard.name) for shard in shards])


def _keep(tables: Frames, folder: Path) -> None:
    """Write a shard's tables so that they are there whole or not at all."""
    temporary = folder.with_suffix(".part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for name, table in tables.items():
        table.write_parquet(temporary / f"{name}.parquet")
    temporary.rename(folder)


def _kept(folder: Path) -> dict[str, pl.DataFrame]:
    return {path.stem: pl.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}
