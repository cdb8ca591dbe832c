"""Nested config sections as flat params with dotted names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from polymlops.config.hashing import canonical


def flatten(section: BaseModel) -> dict[str, Any]:
    """Dotted keys of a section, as `--set` takes them; a list stays one value, written as JSON."""
    return dict(_leaves("", canonical(section)))


def _leaves(prefix: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        return [leaf for key, item in value.items() for leaf in _leaves(f"{prefix}.{key}" if prefix else key, item)]
    return [(prefix, json.dumps(value) if isinstance(value, Mapping | list) else value)]
