"""Anyone's posts, replies and likes as a source: where they lie, what their columns are called, what is dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from polymlops.config.section import Section
from polymlops.config.suites import Revision

Column = Annotated[str, StringConstraints(min_length=1)]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")]
Phrase = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]

SPAM = (
    *("act now", "buy now", "casino", "cheap meds", "click here", "crypto giveaway", "dm me", "earn money fast"),
    *("follow back", "follow me", "free followers", "free money", "limited offer", "link in bio", "make money fast"),
    *("promo code", "subscribe to my", "viagra", "whatsapp me", "work from home"),
)


class ColumnMap(Section):
    """What the columns of a file are called, `a.b` for a nested one; none takes the first common name that is there."""

    community: Column | None = Field(None, description="the site whose ids these are: two sites may use one id")
    post_id: Column | None = Field(None, description="what is replied to; none: its text names it")
    title: Column | None = Field(None, description="put before the post")
    post: Column | None = Field(None, description="text of the post; a title alone will do")
    reply_id: Column | None = Field(None, description="one row a reply, whichever file repeats it")
    reply: Column | None = Field(None, description="text of the reply")
    author: Column | None = Field(None, description="of the reply; none: every reply has an author of its own")
    likes: Column | None = Field(None, description="count; `1.2K` and `1,234` are counts")
    created: Column | None = Field(None, description="ISO date, or seconds or milliseconds since 1970")
    views: Column | None = Field(None, description="count, for likes per view")


class ToxicityConfig(Section):
    """A text classifier of `transformers`, and the score from which a reply is dropped."""

    model: str = Field(description="a local folder or a Hub id")
    revision: Revision | None = Field(None, description="commit, for a Hub id")
    label: str = Field("toxic", description="of the classifier's labels, the one that is scored")
    threshold: float = Field(0.5, gt=0, le=1, description="probability of the label at which a reply is dropped")

    @model_validator(mode="after")
    def _pinned(self) -> ToxicityConfig:
        if self.revision is None and not Path(self.model).is_dir():
            raise ValueError(f"model {self.model!r} is no folder here: a Hub id needs the commit as `revision`")
        return self


class FilterConfig(Section):
    """What is dropped besides faulty rows; every drop is counted under its reason."""

    min_likes: int = Field(0, description="fewer are dropped; below 0 for votes that may be negative")
    max_likes: int | None = Field(None, description="more are dropped; none: no limit")
    author_cap: int | None = Field(200, ge=1, description="replies kept of one author, by reply id; none: all")
    urls: Literal["drop", "keep"] = Field("drop", description="replies with a link")
    language: Language | None = Field(
        None, description="ISO 639-1 code; other replies are dropped; none: all (needs the extra `ingest`)"
    )
    spam: tuple[Phrase, ...] = Field(SPAM, description="words and phrases of spam, matched as whole words in any case")
    toxicity: ToxicityConfig | None = Field(None, description="none: no classifier")

    @model_validator(mode="after")
    def _window(self) -> FilterConfig:
        if self.max_likes is not None and self.max_likes < self.min_likes:
            raise ValueError(f"max_likes {self.max_likes} is below min_likes {self.min_likes}")
        return self


class InteractionSource(Section):
    """What is the same for a file and a Hub dataset."""

    columns: ColumnMap = ColumnMap()
    filters: FilterConfig = FilterConfig()
    post_characters: int = Field(600, ge=20, description="a longer post is cut at a word, title included")
    posts: int | None = Field(
        20_000, ge=20, description="posts that are kept, drawn by their id's digest; none: all, in memory"
    )


class FileSource(InteractionSource):
    """JSON Lines, CSV, TSV (each plain or .gz), Parquet, or a folder of them."""

    kind: Literal["file"] = "file"
    path: Path = Field(description="a file or a folder, searched with its subfolders")
    sha256: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="of the content; none: taken when the run begins"
    )


class HubSource(InteractionSource):
    """A dataset of the Hugging Face Hub at a commit, or a local folder in its layout, streamed."""

    kind: Literal["hub"] = "hub"
    name: str = Field(min_length=1, description="owner/name, or a local folder")
    subset: str | None = Field(None, description="the Hub's `config`; none: the only one")
    split: str = Field("train", min_length=1, description="of the dataset")
    revision: Revision | None = Field(None, description="commit; a local folder has none")

    @model_validator(mode="after")
    def _pinned(self) -> HubSource:
        if self.revision is None and not Path(self.name).is_dir():
            raise ValueError(f"name {self.name!r} is no folder here: a Hub dataset needs its commit as `revision`")
        return self
