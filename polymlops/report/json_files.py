"""Results as JSON, which has neither NaN nor infinity: what is undefined is null."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NOTES = "notes.json"  # of a report: what must be said beside its table, a list of sentences


def json_ready(value: Any) -> Any:
    """The value with null for what JSON lacks: NaN, and the infinite end of an interval."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(item) for item in value]
    return value


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, undefined as null."""
    text = json.dumps(json_ready(value), indent=2, allow_nan=False, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
