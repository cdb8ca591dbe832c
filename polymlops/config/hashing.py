"""Content hashes of configs: equal values give equal hashes, on any machine and in any process."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel

from polymlops.config.input_files import BY_CONTENT


def canonical(value: Any, context: str | None = None) -> Any:
    """Plain JSON values of a section, a reference or a nest of them."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, context=context)
    if isinstance(value, dict):
        return {str(key): canonical(item, context) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item, context) for item in value]
    return value


def content_hash(*values: Any) -> str:
    """First 16 hex digits of the sha256 of the values' canonical JSON, files that a config names by what they hold."""
    plain = [canonical(value, BY_CONTENT) for value in values]
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
