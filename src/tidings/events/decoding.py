"""Decoding: a record's value and headers into an Envelope, whichever of four forms they have.

```
ce_specversion, ce_type headers                -> CloudEvents, binary: the value is the data
content-type application/cloudevents+json,
or a JSON object with specversion and type     -> CloudEvents, structured
a JSON object with event_type and data         -> the json envelope
any other JSON                                 -> plain: the data itself; its type from an event_type header
```
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar, overload

import msgspec

from tidings.errors import DecodeError
from tidings.events.cloudevents import ATTRIBUTES, STRUCTURED
from tidings.events.envelope import Envelope
from tidings.events.headers import Pair
from tidings.events.readers import converter_for
from tidings.events.times import read_moment

T = TypeVar("T")
Fields = dict[str, Any]

_OWN: Final = {name: name for name in Envelope.__struct_fields__ if name != "extensions"}
_CLOUD: Final = {
    "data": "data",
    "type": "event_type",
    "id": "event_id",
    "time": "timestamp",
    "source": "source",
    "version": "version",
    "correlationid": "correlation_id",
    **{there: here for here, there in ATTRIBUTES.items()},
}
_NOT_KEPT = frozenset({"specversion", "datacontenttype"})
_read_json: Callable[[bytes], Any] = msgspec.json.Decoder().decode


@overload
def decode(
    value: bytes | None, headers: Iterable[Pair] = ..., *, keep_unknown: bool = ...
) -> Envelope[Any]: ...
@overload
def decode(
    value: bytes | None, headers: Iterable[Pair] = ..., *, data_type: type[T], keep_unknown: bool = ...
) -> Envelope[T]: ...
def decode(
    value: bytes | None,
    headers: Iterable[Pair] = (),
    *,
    data_type: type[Any] | None = None,
    keep_unknown: bool = True,
) -> Envelope[Any]:
    """The envelope of a record, recognised by its headers and content; any version of it.

    ``data_type`` is the class ``data`` is read as (default: what JSON gives). Fields the envelope does not
    know go to ``extensions``, or are dropped with ``keep_unknown=False``. Plain JSON that names no type has
    ``event_type`` None. The type and the data have to be right: any other field that makes no sense is None.
    Raises DecodeError, which names what is wrong. Any thread.

    CloudEvents Kafka Protocol Binding 1.0.2, CloudEvents JSON Format 1.0.2.
    """
    named = {name.lower(): content for name, content in headers if content is not None}
    envelope = _envelope(value, named, keep_unknown)
    if data_type is None:
        return envelope
    return msgspec.structs.replace(envelope, data=converter_for(data_type)(envelope.data))


def _envelope(value: bytes | None, headers: Mapping[str, bytes], keep_unknown: bool) -> Envelope[Any]:
    ids = {name: _id(headers, name) for name in ("event_id", "correlation_id")}
    content_type = (_id(headers, "content-type") or "").partition(";")[0].strip().lower()
    if "ce_specversion" in headers:
        attributes: Fields = {name[3:]: _id(headers, name) for name in headers if name.startswith("ce_")}
        attributes["type"] = _text(headers, "ce_type")
        attributes["data"] = _binary_data(value, content_type)
        return _filled(attributes, _CLOUD, keep_unknown, ids)
    if value is None:
        raise DecodeError("The record is a tombstone: it has a key, and no event.")
    parsed = _json(value)
    if isinstance(parsed, dict):
        if content_type == STRUCTURED or ("specversion" in parsed and "type" in parsed):
            return _filled(_with_data(parsed), _CLOUD, keep_unknown, ids)
        if "event_type" in parsed and "data" in parsed:
            return _filled(parsed, _OWN, keep_unknown, ids)
    elif content_type == STRUCTURED:
        raise DecodeError(f"content-type says {STRUCTURED}, and the value is no JSON object.")
    return Envelope(
        data=parsed,
        event_type=_text(headers, "event_type") or None,
        event_id=ids["event_id"],
        correlation_id=ids["correlation_id"],
    )


def _filled(
    found: Fields, names: Mapping[str, str], keep_unknown: bool, ids: Mapping[str, str | None]
) -> Envelope[Any]:
    """An envelope of what was found under these names; ``ids`` are those of the headers."""
    values: Fields = {"data": None, **ids}
    extensions: Fields = {}
    for name, content in found.items():
        if known := names.get(name):
            read = content if known == "data" else _READ.get(known, _words)(name, content)
            values[known] = read or ids.get(known) or read  # an id that is missing may be in a header
        elif keep_unknown and name not in _NOT_KEPT:
            extensions[name] = content
    if not values.get("event_type"):
        raise DecodeError("The event names no type.")
    return Envelope(**values, extensions=extensions)


def _type(name: str, content: object) -> str | None:
    if content is None or isinstance(content, str):
        return content
    raise DecodeError(f"`{name}` is a {type(content).__name__}; it is a string.")


def _words(_: str, content: object) -> str | None:
    """Some write 2 where others write "2"; what is no text at all is left out."""
    if isinstance(content, str):
        return content
    return str(content) if type(content) in (int, float) else None


_READ: Final[Mapping[str, Callable[[str, object], object]]] = {
    "event_type": _type,
    "timestamp": lambda _, content: read_moment(content),
}
"""Reading needs the type and the data: nothing else is worth an event."""


def _with_data(event: Fields) -> Fields:
    if "data_base64" not in event:
        return event
    try:
        data = base64.b64decode(event.pop("data_base64"), validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise DecodeError("`data_base64` is not base64.") from None
    return {**event, "data": data}


def _binary_data(value: bytes | None, content_type: str) -> object:
    if not value:  # the official SDK writes what is false as nothing
        return None if value is None or _is_json(content_type) else value
    return _json(value) if _is_json(content_type) else value


def _is_json(content_type: str) -> bool:
    return content_type in ("", "application/json", "text/json") or content_type.endswith("+json")


def _json(value: bytes) -> Any:
    try:
        return _read_json(value)
    except UnicodeDecodeError:
        problem = "it is not UTF-8"
    except RecursionError:
        problem = "it is nested too deeply"
    except msgspec.MsgspecError as error:
        problem = str(error)
    raise DecodeError(f"The value is not JSON: {problem}")


def _id(headers: Mapping[str, bytes], name: str) -> str | None:
    """A header that says something, or None."""
    try:
        return _text(headers, name) or None
    except DecodeError:  # the event may do without
        return None


def _text(headers: Mapping[str, bytes], name: str) -> str:
    try:
        return headers.get(name, b"").decode()
    except UnicodeDecodeError:
        raise DecodeError(f"The header {name!r} is not UTF-8.") from None
