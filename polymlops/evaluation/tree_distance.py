"""Edit distance of programs' trees, normalised to [0, 1], and the matrix of all pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polymlops.errors import MetricError
from polymlops.evaluation.program_trees import ProgramTree
from polymlops.metrics.arrays import Floats

MAX_TREES = 4_000  # a matrix of this side takes 128 MB

Coded = tuple[list[int], list[list[int]]]


def edit_distance(a: ProgramTree, b: ProgramTree) -> int:
    """Fewest insertions, deletions and relabellings of a node, one each, that turn one ordered tree into the other.

    Source: Zhang & Shasha 1989, doi:10.1137/0218082; computed by `edist`.
    """
    from edist.ted import standard_ted

    codes: dict[str, int] = {}
    return int(standard_ted(*_coded(a, codes), *_coded(b, codes)))


def normalised(distance: int | Floats, nodes: int | Floats) -> float | Floats:
    """The distance d of two trees with `nodes` nodes together as 2 d / (nodes + d): a metric again, within [0, 1].

    0 for equal trees; 1 would be reached if not one node could stay.
    Source: Li & Zhang 2011, doi:10.1007/s11704-010-9336-1, eq. 4.
    """
    return 2 * distance / (nodes + distance)


def distance_matrix(trees: Sequence[ProgramTree]) -> Floats:
    """Normalised distances of all pairs, (U, U), symmetric with zeros on the diagonal.

    Raises: MetricError above `MAX_TREES` trees.
    """
    from edist.ted import standard_ted

    if len(trees) > MAX_TREES:
        raise MetricError(
            f"{len(trees)} different programs: the distances of more than {MAX_TREES} do not fit; take fewer"
        )
    codes: dict[str, int] = {}
    coded = [_coded(tree, codes) for tree in trees]
    result_UU = np.zeros((len(trees), len(trees)))
    for i, (labels, children) in enumerate(coded):
        for j in range(i):
            distance = int(standard_ted(labels, children, *coded[j]))
            result_UU[i, j] = result_UU[j, i] = normalised(distance, len(labels) + len(coded[j][0]))
    return result_UU


def _coded(tree: ProgramTree, codes: dict[str, int]) -> Coded:
    """Labels as small integers, which compare fast, and lists, which `edist` asks for."""
    return [codes.setdefault(label, len(codes)) for label in tree.labels], [list(row) for row in tree.children]
