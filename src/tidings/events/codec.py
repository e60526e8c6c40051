"""JSON for the wire: any value to bytes, or an InvalidEvent that names the field at fault."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from tidings.events.encoders import encoder_for
from tidings.events.payloads.care import finisher
from tidings.events.payloads.faults import REFUSALS, Encode, encode_native, refuse_hidden_nan, unencodable
from tidings.events.payloads.places import field_names, is_pydantic

__all__ = ["REFUSALS", "Encode", "encode_native", "field_names", "to_json"]

_finish = finisher(object)
_encoder = lru_cache(maxsize=1024)(encoder_for)


def to_json(value: object) -> bytes:
    """``value`` as JSON, UTF-8: durations in nanoseconds, times in UTC, marked fields as they are marked; a
    pydantic model as ``publish`` writes its data.

    Raises InvalidEvent, naming the path, for what JSON has no form of. Safe from any thread.
    """
    try:
        data = encode_native(value)
    except REFUSALS as error:
        refusal = None if is_pydantic(type(value)) else unencodable(value, error)
    else:
        refuse_hidden_nan(value, data)
        return _finish(value, data) if _finish else data
    if refusal is None:
        cls: Any = type(value)
        return _encoder(cls).encode(value)
    raise refusal
