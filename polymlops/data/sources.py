"""Raw interactions from whatever source a config names, with the truth about them where it is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from polymlops.config.schema import DataConfig, WorldSource
from polymlops.config.stories import StoriesSource
from polymlops.data.cleaning import Drops
from polymlops.data.ingest import load_interactions
from polymlops.data.story_world import StoryWorld, opening_truth
from polymlops.data.world import World, truth_frame


@dataclass(frozen=True, slots=True)
class RawInteractions:
    """Rows to be cleaned, and those of `rows_in` that the source dropped already.

    `truth` is none where nobody knows it. `notes` counts what was mended; `columns` is, for each file, its column for
    each of ours.
    """

    rows: pl.DataFrame
    rows_in: int
    truth: pl.DataFrame | None = None
    least_likes: int = 0
    drops: Drops = field(default_factory=Drops)
    notes: Mapping[str, int] = field(default_factory=dict)
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def read_source(config: DataConfig, scratch: Path) -> RawInteractions:
    """Draw the world or its stories, or read the file or the Hub dataset.

    Raises: InputError where no row of a file or dataset is usable.
    """
    source = config.source
    if isinstance(source, WorldSource):
        world = World(source.seed)
        posts = world.posts(source.posts)
        rows = world.interactions(posts, source.replies_per_post)
        return RawInteractions(rows, len(rows), truth_frame(posts))
    if isinstance(source, StoriesSource):
        tales = StoryWorld(source.seed)
        openings = tales.openings(source.posts)
        rows = tales.interactions(openings, source.replies_per_post)
        return RawInteractions(rows, len(rows), opening_truth(openings))
    found = load_interactions(config, scratch)
    known = found.account
    return RawInteractions(
        found.rows, known.rows_in, None, source.filters.min_likes, known.drops, known.notes, known.columns
    )
