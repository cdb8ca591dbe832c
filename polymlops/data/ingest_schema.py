"""The contract of ingested rows: whatever file they come from, nothing else reaches the later steps."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import polars as pl

from polymlops.data.cleaning import LARGEST_COUNT
from polymlops.errors import DataQualityError

if TYPE_CHECKING:
    import pandera.polars as pandera

INTERACTION = {
    "post_id": pl.String,
    "post": pl.String,
    "reply_id": pl.String,
    "reply": pl.String,
    "author": pl.String,
    "likes": pl.Int64,
    "created": pl.String,
    "views": pl.Int64,
}


def check_contract(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows where they have every column of INTERACTION in its type and range.

    Raises: DataQualityError with the first cases; a fault of ours, for bad rows are dropped before.
    """
    from pandera.errors import SchemaErrors

    try:
        return _schema().validate(rows, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases.select("column", "check", "failure_case").head(3).rows()
        raise DataQualityError(f"ingested rows break their contract: {cases}; please report the file") from error


@lru_cache(maxsize=1)
def _schema() -> pandera.DataFrameSchema:
    import pandera.polars as pandera

    filled = pandera.Check.str_length(min_value=1)
    count = pandera.Check.in_range(-LARGEST_COUNT, LARGEST_COUNT)
    date = pandera.Check.str_matches(r"^\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d$")
    checks = {name: filled for name, dtype in INTERACTION.items() if dtype == pl.String}
    checks |= {"likes": count, "views": pandera.Check.in_range(0, LARGEST_COUNT), "created": date}
    nullable = {"created", "views"}
    columns = {
        name: pandera.Column(dtype, checks[name], nullable=name in nullable) for name, dtype in INTERACTION.items()
    }
    return pandera.DataFrameSchema(columns, strict=True)
