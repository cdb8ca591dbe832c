"""What the `evaluate` modules of this folder share: a class made from a description, its inputs, and a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from polymlops.errors import MetricError

# What one prompt brings along: a list with one entry a candidate, or one string.
Kind = Literal["strings", "booleans", "numbers", "string"]


def evaluation_module(
    description: str, citation: str, inputs: Sequence[Mapping[str, Kind]], compute: Callable[..., dict[str, Any]]
) -> type:
    """Make the class that `evaluate.load` looks for.

    `inputs` lists the accepted sets of columns, all with the same names; the first that fits the first batch is used.
    `compute` receives the gathered columns by name, and the options of the call. A column `references` may be left
    out of every batch where it holds one string a prompt.
    """
    # Only a process that called evaluate.load comes here, so evaluate is imported already.
    import evaluate

    features = [_features(columns) for columns in inputs]
    fills_references = inputs[0].get("references") == "string"

    class PolymlopsMetric(evaluate.Metric):
        """One metric of polymlops behind the interface of `evaluate`."""

        _columns: Mapping[str, Kind] = inputs[0]

        def _info(self) -> evaluate.MetricInfo:
            return evaluate.MetricInfo(
                description=description,
                citation=citation,
                inputs_description=description,
                features=features if len(features) > 1 else features[0],
            )

        def add_batch(self, *, predictions: Any = None, references: Any = None, **columns: Any) -> None:
            """Add the candidates of some prompts."""
            if fills_references and references is None and predictions is not None:
                references = [""] * len(predictions)
            given = {"predictions": predictions, "references": references, **columns}
            # The first batch decides between the sets of columns; a later one of another kind would be cast to it.
            self._columns = _fitting(given, inputs if self.writer is None else [self._columns])
            super().add_batch(predictions=predictions, references=references, **columns)

        def add(self, *, prediction: Any = None, reference: Any = None, **columns: Any) -> None:
            """Add the candidates of one prompt."""
            self.add_batch(
                predictions=[prediction],
                references=None if reference is None else [reference],
                **{name: [value] for name, value in columns.items()},
            )

        def _compute(self, **arguments: Any) -> dict[str, Any]:
            return compute(**arguments)

    return PolymlopsMetric


def _features(columns: Mapping[str, Kind]) -> Any:
    import datasets

    values = {"strings": "string", "booleans": "bool", "numbers": "float64", "string": "string"}

    def feature(kind: Kind) -> Any:
        value = datasets.Value(values[kind])
        return value if kind == "string" else datasets.Sequence(value)

    return datasets.Features({name: feature(kind) for name, kind in columns.items()})


def _fitting(given: Mapping[str, Any], inputs: Sequence[Mapping[str, Kind]]) -> Mapping[str, Kind]:
    """The set of columns that every row fits.

    Arrow would cast the others in silence: any string is a true boolean to it, and True is the string "True".
    """
    for name in inputs[0]:
        if given.get(name) is None:
            raise MetricError(f"{name} is missing")
    for columns in inputs:
        if all(_fits(row, kind) for name, kind in columns.items() for row in given[name]):
            return columns
    wanted = " or ".join(str(dict(columns)) for columns in inputs)
    raise MetricError(f"every row of a batch must be {wanted}, as in the first batch; given: {dict(given)!r:.300}")


def _fits(row: Any, kind: Kind) -> bool:
    if kind == "string":
        return isinstance(row, str)
    if isinstance(row, str):
        return False
    if kind == "strings":
        return all(isinstance(value, str) for value in row)
    allowed = (0, 1) if kind == "booleans" else None
    return all(not isinstance(value, str) and (allowed is None or value in allowed) for value in row)
