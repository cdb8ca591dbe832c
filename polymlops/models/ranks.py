"""The processes that train one model together, as each of them sees the others; a stage alone is rank 0 of 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


def rank() -> int:
    """This process's number, from 0."""
    import torch.distributed as dist

    return dist.get_rank() if _together() else 0


def count() -> int:
    """How many train together."""
    import torch.distributed as dist

    return dist.get_world_size() if _together() else 1


def is_first() -> bool:
    """True in the one process that writes files and reports."""
    return rank() == 0


def gathered(item: T) -> list[T]:
    """What every process gave, by rank; all of them must call it."""
    import torch.distributed as dist

    if not _together():
        return [item]
    items: list[T] = [item] * count()
    dist.all_gather_object(items, item)
    return items


def joined(rows: Sequence[T]) -> list[T]:
    """The rows of every process, by rank; all of them must call it."""
    return [row for part in gathered(list(rows)) for row in part]


def mean_of(tensor: torch.Tensor) -> torch.Tensor:
    """The mean of what every process gave; all of them must call it."""
    import torch.distributed as dist

    if _together():
        tensor = tensor.clone()
        dist.all_reduce(tensor)
        tensor /= count()
    return tensor


def wait_for_all() -> None:
    """Return once every process is here."""
    gathered(None)


def own_share(length: int) -> slice:
    """The rows, of so many, that are this process's: neighbours, so that `joined` puts them in order again."""
    size, larger = divmod(length, count())
    start = rank() * size + min(rank(), larger)
    return slice(start, start + size + (rank() < larger))


def _together() -> bool:
    import torch.distributed as dist

    return dist.is_available() and dist.is_initialized()
