"""Metrics for OpenTelemetry (extra ``otel``): observable instruments, read when a reader collects."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Final
from weakref import WeakKeyDictionary

from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation, get_meter_provider

from tidings.observe.metrics import CONSUMER, PUBLISHER, Metric
from tidings.observe.watched import Sample, Watchable, Watched

_OWNERS: Final = {"client_id": "messaging.client.id", "group": "messaging.consumer.group.name"}
_PARTS: Final = {
    "topic": "messaging.destination.name",
    "code": "tidings.code",
    "priority": "tidings.priority",
}


def otel_metrics(*watched: Watchable, meter_provider: MeterProvider | None = None) -> None:
    """Tell OpenTelemetry of these publishers and consumers, and of managers with all of theirs.

    They are read when a reader collects, and added up by CLIENT_ID and by group; publishers are not kept
    alive by this. May be called again, for more of them. ``meter_provider`` defaults to the global one.
    Names follow the messaging conventions where there are any (``messaging.client.sent.messages``,
    ``messaging.client.consumed.messages``), and are ``tidings.…`` otherwise. Any thread.
    """
    provider = get_meter_provider() if meter_provider is None else meter_provider
    with _making:
        told = _told.get(provider)
        if told is None:
            told = _told[provider] = Watched()
            _instruments(provider.get_meter("tidings"), told)
    told.watch(watched)


def _instruments(meter: Meter, told: Watched) -> None:
    """One for each name: several metrics may differ in their attributes alone."""
    by_name: dict[str, list[Metric]] = defaultdict(list)
    for metric in (*PUBLISHER, *CONSUMER):
        if metric.place != "prometheus":
            by_name[metric.name].append(metric)
    for name, metrics in by_name.items():
        first = metrics[0]
        make = (
            meter.create_observable_counter
            if first.kind == "counter"
            else meter.create_observable_up_down_counter
        )
        make(name, callbacks=[_callback(told, metrics)], unit=first.unit, description=first.help)


def _callback(told: Watched, metrics: list[Metric]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterator[Observation]:
        for sample in told.samples():
            if sample.metric in metrics:
                yield Observation(sample.value, _attributes(sample))

    return observe


def _attributes(sample: Sample) -> dict[str, str]:
    owner, name = sample.owner
    found = {_OWNERS[owner]: name, **dict(sample.metric.attributes)}
    by = sample.metric.by
    return found if by is None or sample.part is None else {**found, _PARTS[by]: sample.part}


_making = threading.Lock()
_told: WeakKeyDictionary[MeterProvider, Watched] = WeakKeyDictionary()
