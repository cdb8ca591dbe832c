"""Anyone's posts, replies and likes, streamed into one Parquet file: every row is kept, or counted under its fault.

Memory stays bounded whatever the size of the source (a batch of rows, and sixteen bytes for each reply id), except for
what `load_interactions` returns: the rows of the posts that the config keeps. A reply id is one row, the first,
so reading a file twice changes nothing.

Neighbours: `ingest_lines` and `ingest_rows` (files), `ingest_hub`, `ingest_columns`, `ingest_cells` (rows),
`ingest_counts`, `ingest_filters`, `ingest_ids`, `ingest_schema` (the contract of what comes out).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import polars as pl

from polymlops.config.ingest import FileSource, HubSource
from polymlops.config.schema import DataConfig
from polymlops.data.cleaning import Cleaned, Drops, account, clean_interactions, describe
from polymlops.data.ingest_cells import CellReader
from polymlops.data.ingest_columns import resolve_columns
from polymlops.data.ingest_files import files_of
from polymlops.data.ingest_filters import cap_authors, drop_toxic, filter_rows
from polymlops.data.ingest_hub import hub_rows
from polymlops.data.ingest_ids import SeenIds, keys_of
from polymlops.data.ingest_rows import RawRow, read_rows
from polymlops.data.ingest_schema import INTERACTION, check_contract
from polymlops.errors import InputError

BATCH_ROWS, BATCH_CHARACTERS = 8192, 2**24
PEEK = 200  # rows by which a file's columns are known: JSON leaves out what is empty
KEY = "post_key"


@dataclass(frozen=True, slots=True)
class Ingested:
    """An account of a source: rows_in = rows_kept + drops.total. `notes` counts what was mended, by kind.

    `columns` is, for each file, its column for each of ours.
    """

    rows_in: int
    rows_kept: int
    drops: Drops
    notes: Mapping[str, int]
    columns: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Interactions:
    """The rows that were read into memory, with the account of all others."""

    rows: pl.DataFrame
    account: Ingested


@dataclass
class _Intake:
    """What is known while a source is read."""

    config: DataConfig
    source: FileSource | HubSource
    ids: SeenIds = field(default_factory=SeenIds)
    places: SeenIds = field(default_factory=SeenIds)
    rows_in: int = 0
    rows_kept: int = 0
    drops: Drops = field(default_factory=Drops)
    notes: Counter[str] = field(default_factory=Counter)
    columns: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def batches(self) -> Iterator[pl.DataFrame]:
        """Clean rows in the columns of INTERACTION, in the order of the source."""
        for name, rows in _parts(self.source):
            for block in _blocks(self._read(name, rows)):
                yield self._clean(block)

    def _read(self, name: str, rows: Iterator[RawRow]) -> Iterator[dict[str, Any]]:
        """The readable interactions of a file; the faults of the others are counted."""
        head = list(islice(rows, PEEK))
        known: dict[str, Any] = {}
        for row in head:
            known |= {key: value for key, value in (row.cells or {}).items() if known.get(key) is None}
        reader = None
        if known:
            columns = resolve_columns(self.source.columns, known, name)
            self.columns[name] = columns.names
            reader = CellReader(columns, self.source.post_characters, self.notes)
        for row in chain(head, rows):
            self.rows_in += 1
            found = row.fault if row.cells is None or reader is None else reader.read(row.cells)
            if isinstance(found, str):
                shown = row.beginning or _beginning(row.cells or {})
                self.drops += account([(found, f"{name}:{row.place}: {shown}")])
            else:
                yield found

    def _clean(self, block: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
        columns = {name: [row[name] for row in block] for name in INTERACTION}
        filters, lengths = self.source.filters, (self.config.min_characters, self.config.max_characters)
        cleaned = clean_interactions(pl.DataFrame(columns, schema=INTERACTION), *lengths, filters.min_likes)
        wanted = filter_rows(cleaned.rows, filters)
        distinct = self._distinct(wanted.rows)
        self.drops += cleaned.drops + wanted.drops + distinct.drops
        self.rows_kept += len(distinct.rows)
        return check_contract(distinct.rows)

    def _distinct(self, rows: pl.DataFrame) -> Cleaned:
        """The first row of each reply id. One that comes again under another post betrays ids that are not unique."""
        places = ["\x1f".join(pair) for pair in rows.select("reply_id", "post_id").iter_rows()]
        new = pl.Series(self.ids.add(keys_of(rows["reply_id"])), dtype=pl.Boolean)
        elsewhere = pl.Series(self.places.add(keys_of(places)), dtype=pl.Boolean).filter(~new)
        reasons = ["reply_id_of_two_posts" if other else "duplicate_reply_id" for other in elsewhere]
        dropped = map(describe, rows.filter(~new).iter_rows(named=True))
        return Cleaned(rows.filter(new), account(zip(reasons, dropped, strict=True)))


def ingest(config: DataConfig, target: Path) -> Ingested:
    """Stream the source of `config` (of kind file or hub) into the Parquet file `target`.

    It has the columns of INTERACTION and `post_key`, a digest of the post's id. A bad row never raises: it is counted
    under its fault, with up to three examples.

    Raises: InputError where a file as a whole cannot be read, or no row of any is usable.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    source = config.source
    if not isinstance(source, FileSource | HubSource):
        raise InputError(f"data.source.kind {source.kind!r} is not read from files: set it to file or hub")
    intake = _Intake(config, source)
    schema = pa.schema({name: _arrow(dtype) for name, dtype in INTERACTION.items()} | {KEY: pa.uint64()})
    with ParquetWriter(target, schema, compression="zstd") as writer:
        for rows in intake.batches():
            table = rows.to_arrow(compat_level=pl.CompatLevel.oldest())
            writer.write_table(table.append_column(KEY, pa.array(keys_of(rows["post_id"]))).cast(schema))
    return Ingested(intake.rows_in, intake.rows_kept, intake.drops, _counted(intake.notes), intake.columns)


def load_interactions(config: DataConfig, scratch: Path) -> Interactions:
    """Ingest a source, and read the rows of the posts that it keeps.

    Drops beyond those of `ingest`: post_not_drawn, author_over_cap, toxic.

    Raises: InputError where no row is usable.
    """
    source = config.source
    target = scratch / "interactions.parquet"
    found = ingest(config, target)
    require_rows(found)
    assert isinstance(source, FileSource | HubSource)
    rows = _drawn(target, source.posts)
    outside = found.rows_kept - len(rows)
    drops = found.drops + (Drops({"post_not_drawn": outside}, {"post_not_drawn": ()}) if outside else Drops())
    capped = cap_authors(rows, source.filters.author_cap)
    civil = drop_toxic(capped.rows, source.filters.toxicity)
    target.unlink()
    drops = drops + capped.drops + civil.drops
    return Interactions(civil.rows, Ingested(found.rows_in, len(civil.rows), drops, found.notes, found.columns))


def require_rows(found: Ingested) -> None:
    """Raise InputError, with the commonest reasons, where nothing is left of a source."""
    if found.rows_kept:
        return
    ranked = sorted(found.drops.counts.items(), key=lambda item: -item[1])
    reasons = ", ".join(f"{count} {reason}" for reason, count in ranked[:3])
    example = next(iter(found.drops.examples[ranked[0][0]]), "") if ranked else "every file is empty"
    raise InputError(f"none of {found.rows_in} rows is usable: {reasons or 'no rows'}; e.g. {example}")


def _parts(source: FileSource | HubSource) -> Iterator[tuple[str, Iterator[RawRow]]]:
    """Each file of the source by its name, with its rows."""
    if isinstance(source, HubSource):
        yield source.name, hub_rows(source)
        return
    for file in files_of(source.path):
        name = file.name if file == source.path else str(file.relative_to(source.path))
        yield name, read_rows(file)


def _blocks(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Rows in blocks that fit into memory, whatever their length."""
    block: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        block.append(row)
        size += len(row["post"]) + len(row["reply"])
        if len(block) == BATCH_ROWS or size > BATCH_CHARACTERS:
            yield block
            block, size = [], 0
    if block:
        yield block


def _drawn(target: Path, limit: int | None) -> pl.DataFrame:
    """The rows of at most `limit` posts: those with the smallest keys, whatever their order in the source."""
    lazy = pl.scan_parquet(target)
    if limit is not None:
        keys = lazy.select(pl.col(KEY).unique().sort().head(limit)).collect(engine="streaming")[KEY]
        lazy = lazy.filter(pl.col(KEY) <= keys[-1])
    return lazy.drop(KEY).collect(engine="streaming")


def _beginning(cells: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={str(value)[:40]!r}" for name, value in list(cells.items())[:8])


def _counted(notes: Counter[str]) -> dict[str, int]:
    return {name: count for name, count in sorted(notes.items()) if count}


def _arrow(dtype: Any) -> Any:
    import pyarrow as pa

    return pa.int64() if dtype == pl.Int64 else pa.large_string()
