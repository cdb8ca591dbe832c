"""What the page shows, as plain text and pictures: the template decides how it looks, and escapes all of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from polymlops.errors import InputError


@dataclass(frozen=True, slots=True)
class Run:
    """A tracked run that numbers of the page come from; `seconds` is NaN where it is not known."""

    run_id: str
    title: str
    seconds: float = float("nan")
    dollars: float = float("nan")


@dataclass(frozen=True, slots=True)
class Cell:
    """A text of a table; with `run_id` it is a number that links to its run. `note` is shown below it, small."""

    text: str
    run_id: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A head and rows of as many cells; a `folded` one is long and opens at a click."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    run_id: str = ""
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """An image as a data URI, with the words for those who do not see it; a `broad` one has panels side by side."""

    title: str
    uri: str
    run_id: str = ""
    broad: bool = False


@dataclass(frozen=True, slots=True)
class Sentence:
    """A finding in words, from a run; `tone` is "claim", "open" or "note"."""

    text: str
    run_id: str = ""
    tone: str = "note"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page; `missing` says what is not there and why. A section that is silent is refused.

    Raises:
        InputError: there is nothing in it, not even a reason.
    """

    sentences: tuple[Sentence, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.sentences or self.tables or self.pictures or self.missing):
            raise InputError("a section of the page is empty: say in `missing` why")

    def run_ids(self) -> Iterator[str]:
        """Runs that it names."""
        yield from (item.run_id for part in (self.sentences, self.tables, self.pictures) for item in part)
        yield from (cell.run_id for table in self.tables for row in table.rows for cell in row)


@dataclass(frozen=True, slots=True)
class Sample:
    """A candidate as it was sampled, and what was found about it."""

    text: str
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Side:
    """The candidates of one arm for a prompt."""

    arm: str
    run_id: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class PromptSides:
    """One prompt, and the arms beside each other."""

    prompt_id: str
    prompt: str
    sides: tuple[Side, ...]


@dataclass(frozen=True, slots=True)
class PageContent:
    """The whole page, in its order. Every part must be given; one that cannot be says why.

    `config` is text as it is; `prompts` may be empty only with a reason in `samples`.

    Raises:
        InputError: a number comes from a run that is not listed.
    """

    title: str
    question: str
    verdict: Section
    baselines: Section
    frontier: Section
    curves: Section
    selectors: Section
    comparisons: Section
    dynamics: Section
    depth: Section
    adapters: Section
    mechanism: Section
    theory: Section
    domains: Section
    samples: Section
    prompts: tuple[PromptSides, ...]
    costs: Section
    config: str
    runs: tuple[Run, ...]

    def __post_init__(self) -> None:
        listed = {run.run_id for run in self.runs} | {""}
        named = [run_id for section in self.sections() for run_id in section.run_ids()]
        named += [side.run_id for prompt in self.prompts for side in prompt.sides]
        unknown = sorted(set(named) - listed)
        if unknown:
            raise InputError(
                f"the page has numbers of {', '.join(unknown[:5])}, which its list of runs lacks: add them"
            )

    def sections(self) -> Iterator[Section]:
        """The sections in order."""
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Section):
                yield value
