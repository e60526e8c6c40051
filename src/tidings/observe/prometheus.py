"""Metrics for Prometheus (extra ``prometheus``): numbers that are read when it asks, and not before."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tidings.observe import metrics
from tidings.observe.watched import Sample, Watchable, Watched

if TYPE_CHECKING:
    from tidings.observe.multiprocess import Mirror

_Family = CounterMetricFamily | GaugeMetricFamily


def prometheus_metrics(*watched: Watchable, registry: CollectorRegistry | None = None) -> None:
    """Tell Prometheus of these publishers and consumers, and of managers with all of theirs.

    They are read when it asks, and added up by CLIENT_ID and by group; publishers are not kept alive by
    this, and what they have counted stays when they are gone. May be called again, for more of them.
    ``registry`` defaults to prometheus_client's own. Any thread.

    With PROMETHEUS_MULTIPROC_DIR set, as for gunicorn's workers, ``registry`` is not used: each process
    writes its numbers to that directory once a second, when a publisher is closed and when it is asked
    itself, and prometheus_client adds them up.
    """
    if is_multiprocess():
        _mirror().watch(watched)
        return
    registry = REGISTRY if registry is None else registry
    with _making:
        collector = _collectors.get(registry)
        if collector is None:
            collector = _collectors[registry] = WatchedCollector()
            registry.register(collector)
    collector.watched.watch(watched)


def scrape(accept: str = "") -> tuple[bytes, str]:
    """What Prometheus gets, and its content type, for its Accept header: everything in prometheus_client's
    registry, of all processes where PROMETHEUS_MULTIPROC_DIR is set. Any thread; blocks briefly."""
    registry = REGISTRY
    if is_multiprocess():
        from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

        _mirror().write()
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def is_multiprocess() -> bool:
    """True where several processes are added up, as prometheus_client decides it."""
    return "PROMETHEUS_MULTIPROC_DIR" in os.environ or "prometheus_multiproc_dir" in os.environ


def shown(metric: metrics.Metric) -> bool:
    """True for what Prometheus is told."""
    return metric.place != "otel"


def labels_of(metric: metrics.Metric, owner: str) -> list[str]:
    """The names of its labels."""
    return [owner] if metric.by is None else [owner, metric.by]


def values_of(sample: Sample) -> list[str]:
    """The values of its labels."""
    return [sample.owner[1]] if sample.part is None else [sample.owner[1], sample.part]


class WatchedCollector(Collector):
    """Reads what is watched, each time it is asked."""

    def __init__(self) -> None:
        self.watched = Watched()

    def describe(self) -> Iterator[Metric]:
        """The families without numbers: a registry wants to know their names."""
        return iter(_families().values())

    def collect(self) -> Iterator[Metric]:
        """The families with what there is now."""
        families = _families()
        for sample in self.watched.samples():
            if shown(sample.metric):
                families[sample.metric].add_metric(values_of(sample), sample.value)
        return iter(families.values())


def _families() -> dict[metrics.Metric, _Family]:
    return dict(_each_family(metrics.PUBLISHER, "client_id")) | dict(_each_family(metrics.CONSUMER, "group"))


def _each_family(table: Iterable[metrics.Metric], owner: str) -> Iterator[tuple[metrics.Metric, _Family]]:
    for metric in filter(shown, table):
        make: Callable[..., Any] = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
        yield metric, make(metric.prometheus_name, metric.help, labels=labels_of(metric, owner))


_making = threading.Lock()
_collectors: WeakKeyDictionary[CollectorRegistry, WatchedCollector] = WeakKeyDictionary()
_mirrors: list[Mirror] = []


def _mirror() -> Mirror:
    from tidings.observe.multiprocess import Mirror  # noqa: PLC0415

    with _making:
        if not _mirrors:
            _mirrors.append(Mirror())
        return _mirrors[0]
