"""numpy's numbers and arrays as plain parts for the wire: kind, shape and bytes, never objects.

numpy is used where a process has it already and is imported by nobody here.
"""

from __future__ import annotations

import sys
from typing import Any

NUMERIC = "biufc"
NUMBER_KINDS = "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128"
OTHER_KINDS = "ndarray bool bool_ longlong ulonglong intc uintc"
ARRAY_KINDS = frozenset(f"{NUMBER_KINDS} {OTHER_KINDS}".split())


def array_parts(value: Any) -> Any:
    """A numpy number as (its number,), a numeric array as (dtype, shape, bytes); None for everything else."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    if type(value) is numpy.ndarray and value.dtype.kind in NUMERIC:
        return (value.dtype.str, tuple(map(int, value.shape)), value.tobytes())
    if isinstance(value, numpy.generic) and value.dtype.kind in NUMERIC:
        return (value.dtype.str, None, value.tobytes())
    return None


def rebuilt_array(parts: Any) -> Any:
    """The array or number of `array_parts`; without numpy, its bytes' description, which equals no number.

    Raises: TypeError where the parts are not those of a numeric array.
    """
    numpy = sys.modules.get("numpy")
    if not (isinstance(parts, tuple) and len(parts) == 3 and isinstance(parts[0], str) and isinstance(parts[2], bytes)):
        raise TypeError("not the parts of an array")
    kind, shape, data = parts
    if numpy is None:
        raise TypeError("an array where there is no numpy")
    if kind[1:2] not in NUMERIC or not kind[2:].isdigit() or kind[:1] not in "<>|=":
        raise TypeError("not a numeric kind")
    try:
        flat = numpy.frombuffer(data, dtype=numpy.dtype(kind)).copy()
        return flat[0] if shape is None else flat.reshape(shape)
    except (ValueError, TypeError, IndexError) as error:
        raise TypeError(f"not an array: {error}") from error
