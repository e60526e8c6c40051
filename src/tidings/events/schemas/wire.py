"""JSON Schemas of what is around the data on the wire, in each of the three formats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args
from urllib.parse import quote

import msgspec

from tidings.errors import ConfigError
from tidings.events.schemas.fields import Schema

Format = Literal["json", "cloudevents", "cloudevents-binary"]
"""The setting ENVELOPE."""

_JSON: Final = "application/json"
_STRUCTURED: Final = "application/cloudevents+json"


class Wire(msgspec.Struct, frozen=True):
    """The schemas of a record's value and headers, its content type, the header with the correlation id."""

    payload: Schema
    headers: Schema
    content_type: str
    correlation_header: str


def wire_of(
    wire_format: Format, event_type: str, data: Schema, *, source: str | None, version: str | None
) -> Wire:
    """How an event of this type is written. Raises ConfigError for a format that there is not."""
    if wire_format == "json":
        return _enveloped(event_type, data, _example(source), _example(version))
    attributes = _attributes(event_type, source, version)
    if wire_format == "cloudevents":
        payload = _object({**attributes, "data": data}, optional={"causationid": _text()})
        content = f"{_STRUCTURED}; charset=UTF-8"
        return Wire(payload, _own_headers(event_type, content), _STRUCTURED, "correlation_id")
    if wire_format == "cloudevents-binary":
        content_type = attributes.pop("datacontenttype")
        headers = {f"ce_{name}": schema for name, schema in attributes.items()}
        return Wire(
            data,
            _object(
                {"event_id": _text(), **headers, "content-type": content_type},
                optional={"ce_causationid": _text()},
            ),
            _JSON,
            "ce_correlationid",
        )
    raise ConfigError(f"format {wire_format!r} is not one of {', '.join(get_args(Format))}")


def _enveloped(event_type: str, data: Schema, source: Schema, version: Schema) -> Wire:
    """tidings' own envelope."""
    payload = _object(
        {
            "event_id": _text(),
            "event_type": _constant(event_type),
            "timestamp": _text(format="date-time"),
            "source": source,
            "version": version,
            "correlation_id": _text(),
            "data": data,
        },
        optional={"causation_id": _text()},
    )
    return Wire(payload, _own_headers(event_type, _JSON), _JSON, "correlation_id")


def _own_headers(event_type: str, content_type: str) -> Schema:
    return _object(
        {
            "event_id": _text(),
            "event_type": _constant(event_type),
            "correlation_id": _text(),
            "content-type": _constant(content_type),
        }
    )


def _attributes(event_type: str, source: str | None, version: str | None) -> dict[str, Schema]:
    """The attributes of CloudEvents 1.0 that tidings writes, and its two extensions."""
    return {
        "specversion": _constant("1.0"),
        "id": _text(),
        "type": _constant(event_type),
        "source": {**_example(source and quote(source)), "format": "uri-reference"},
        "time": _text(format="date-time"),
        "datacontenttype": _constant(_JSON),
        "version": _example(version),
        "correlationid": _text(),
    }


def _object(properties: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """Further fields are allowed: extensions of an envelope, headers of the application's own."""
    return {
        "type": "object",
        "properties": {**properties, **(optional or {})},
        "required": list(properties),
    }


def _text(**more: Any) -> Schema:
    return {"type": "string", **more}


def _constant(value: str) -> Schema:
    return _text(const=value)


def _example(value: str | None) -> Schema:
    """Text that is the same in every event of one program, and may be another in the next."""
    return _text() if value is None else _text(examples=[value])
