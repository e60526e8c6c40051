"""JSON for the wire: any value to bytes, or an InvalidEvent that names the field at fault."""

from __future__ import annotations

from tidings.events.payloads.care import finisher
from tidings.events.payloads.faults import REFUSALS, Encode, encode_native, refuse_hidden_nan, unencodable
from tidings.events.payloads.places import field_names

__all__ = ["REFUSALS", "Encode", "encode_native", "field_names", "to_json"]

_finish = finisher(object)


def to_json(value: object) -> bytes:
    """``value`` as JSON, UTF-8: durations in nanoseconds, times in UTC, marked fields as they are marked.

    Raises InvalidEvent, naming the path, for what JSON has no form of. Safe from any thread.
    """
    try:
        data = encode_native(value)
    except REFUSALS as error:
        refusal = unencodable(value, error)
    else:
        refuse_hidden_nan(value, data)
        return _finish(value, data) if _finish else data
    raise refusal
