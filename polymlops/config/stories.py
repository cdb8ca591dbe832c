"""Tiny stories as the source of interactions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from polymlops.config.section import Section


class StoriesSource(Section):
    """Openings of tiny stories with people's continuations and likes, and known truth; offline, no files."""

    kind: Literal["stories"] = "stories"
    seed: int = Field(7, ge=0, description="seed of openings, people and likes")
    posts: int = Field(1200, ge=20, description="openings to draw")
    replies_per_post: int = Field(6, ge=1, description="continuations of each opening")
