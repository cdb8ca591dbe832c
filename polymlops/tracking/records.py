"""What tracking tells its callers, as small frozen records that can be read without MLflow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _nan_for_null(value: object) -> object:
    return math.nan if value is None else value


Number = Annotated[float, BeforeValidator(_nan_for_null)]


class TableRow(BaseModel):
    """One metric of one arm, over all its seeds; NaN where undefined. What else the table says is left there."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null")

    arm: str
    metric: str = Field(description="name within the domain: pass_at_10")
    value: Number
    low: Number
    high: Number
    n: int = Field(ge=0, description="prompts behind the value")


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """A version of a registered model that may be served."""

    name: str
    version: int
    uri: str
    aliases: tuple[str, ...]
    run_id: str
