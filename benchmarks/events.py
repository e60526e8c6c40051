"""What an event costs before Kafka's client has it: ``python -m benchmarks.events [--events 100000]``.

Everything publish() does of itself with a ten-field event (check, encode, route, id, time, key, envelope,
headers) beside the bare msgspec encode of the same envelope and a list of the same headers; in turns, in one
process, without Kafka. The ratio is to that bare encode.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import statistics
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pydantic

from benchmarks.corpus import clock
from tidings import Publisher, Registry, current_correlation_id

_ROUNDS = 9
_FIELDS: dict[str, tuple[type, Any]] = {
    "order_id": (str, "o-123456"),
    "customer_id": (str, "c-98765"),
    "total": (int, 4200),
    "currency": (str, "CHF"),
    "discount": (float, 0.25),
    "express": (bool, True),
    "placed_at": (datetime, datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)),
    "channel": (str, "web"),
    "items": (int, 3),
    "note": (str, "ring twice"),
}
_TYPES = [(name, kind) for name, (kind, _) in _FIELDS.items()]
_VALUES = {name: value for name, (_, value) in _FIELDS.items()}
_declare = Registry().event

Struct = _declare("order.placed", topic="orders", key="order_id")(msgspec.defstruct("Struct", _TYPES))
Data = _declare("order.dataclass", topic="orders", key="order_id")(dataclasses.make_dataclass("Data", _TYPES))
Model = _declare("order.model", topic="orders", key="order_id")(
    pydantic.create_model("Model", **{name: (kind, ...) for name, kind in _TYPES})  # type: ignore[call-overload]
)


class Wire(msgspec.Struct):
    """The same envelope, for the bare encode."""

    event_id: str
    event_type: str
    timestamp: str
    source: str
    version: str
    correlation_id: str
    data: Any


def main() -> None:
    """Print one line for each side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    count = parser.parse_args().events
    print(f"{os.cpu_count()} cores, {platform.python_version()}, {count:,} events a round, {_ROUNDS} rounds")
    sides: dict[str, Callable[[int], float]] = {
        "bare msgspec encode": bare,
        "struct": lambda count: published(Struct, "json", count),
        "struct, CloudEvents structured": lambda count: published(Struct, "cloudevents", count),
        "struct, CloudEvents binary": lambda count: published(Struct, "cloudevents-binary", count),
        "dataclass": lambda count: published(Data, "json", count),
        "pydantic model": lambda count: published(Model, "json", count),
        "plain dict": lambda count: published(dict, "json", count),
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(_ROUNDS):
        for name, side in sides.items():
            times[name].append(side(count))
    base = statistics.median(times["bare msgspec encode"])
    for name, measured in times.items():
        middle = statistics.median(measured)
        print(f"{name:32s} {middle * 1e6:6.2f} µs an event   {middle / base:5.2f} of the bare encode")


def bare(count: int) -> float:
    """Seconds an event: the envelope as a struct, its bytes, and a list of four headers."""
    encode, payload = msgspec.json.Encoder().encode, Struct(**_VALUES)
    event_id, content_type = "01923e5c-7c00-7000-8000-000000000000", ("content-type", b"application/json")
    type_header = ("event_type", b"order.placed")
    started = clock()
    for _ in range(count):
        encode(Wire(event_id, "order.placed", "2026-01-02T03:04:05.678Z", "shop", "1.0", event_id, payload))
        raw = event_id.encode()
        headers = [("event_id", raw), type_header, ("correlation_id", raw), content_type]  # noqa: F841
    return (clock() - started) / count


def published(cls: type, form: str, count: int) -> float:
    """Seconds an event: the steps of publish() up to the client, accounting and the Delivery left out."""
    with Publisher(enabled=False, service="shop", envelope=form) as publisher:
        event_type = "order.placed" if cls is dict else None
        payload, plan_of, stamp = cls(**_VALUES), publisher._plan, publisher._stamp
        started = clock()
        for _ in range(count):
            plan = plan_of(payload.__class__, event_type)
            event_id, time = stamp()
            data = plan.encoder.encode(payload)
            plan.frame.around(data, event_id, time, current_correlation_id())
            plan.key(payload)
        return (clock() - started) / count


if __name__ == "__main__":
    main()
