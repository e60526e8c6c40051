"""What watching costs: ``python -m benchmarks.observe [--events 200000] [--rounds 9]``.

publish() with metrics and JSON logs on, with OpenTelemetry there and tracing not asked for, and with tracing
on, each beside a publisher that nobody watches, with OpenTelemetry not to be imported. Every side runs in a
process of its own, in turns, against one real broker. The ratio is of events per second of CPU, all threads
of the process together, which what else the machine does disturbs least; it is between medians.
"""

from __future__ import annotations

import argparse
import contextlib
import logging.config
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime

from benchmarks.corpus import clock, typed
from benchmarks.sides import TOPIC
from tidings import Publisher
from tidings.testing import RealKafka

_SCRAPES = 1.0
_CHILD_TIMEOUT = 300
Watch = Callable[[Publisher], AbstractContextManager[None]]


@contextlib.contextmanager
def _nothing(_: Publisher) -> Iterator[None]:
    sys.modules["opentelemetry"] = None  # type: ignore[assignment]
    yield


@contextlib.contextmanager
def _metrics_and_logs(publisher: Publisher) -> Iterator[None]:
    """Prometheus asks once a second, fifteen times as often as it would."""
    from tidings.observe import otel_metrics, prometheus_metrics, scrape

    logging.config.dictConfig(
        {
            "version": 1,
            "formatters": {"json": {"()": "tidings.observe.JsonFormatter"}},
            "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "json"}},
            "root": {"level": "INFO", "handlers": ["out"]},
        }
    )
    prometheus_metrics(publisher)
    otel_metrics(publisher)
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(_SCRAPES):
            scrape()

    thread = threading.Thread(target=ask)
    thread.start()
    yield
    ended.set()
    thread.join()


@contextlib.contextmanager
def _tracing_off(_: Publisher) -> Iterator[None]:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import set_tracer_provider

    import tidings.observe.tracing  # noqa: F401

    set_tracer_provider(TracerProvider())
    yield


def _tracing(share: float) -> Watch:
    @contextlib.contextmanager
    def on(publisher: Publisher) -> Iterator[None]:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

        from tidings.observe import otel_tracing

        otel_tracing(publisher, tracer_provider=TracerProvider(sampler=TraceIdRatioBased(share)))
        yield

    return on


BASE = "nobody watches"
SIDES: dict[str, Watch] = {
    BASE: _nothing,
    "metrics and logs on": _metrics_and_logs,
    "tracing there, and off": _tracing_off,
    "tracing on, 1% sampled": _tracing(0.01),
    "tracing on, all sampled": _tracing(1.0),
}
SLOW = {"tracing on, 1% sampled": 4, "tracing on, all sampled": 10}
"""How many times fewer events a side gets, so that a round stays short."""


def _rates(watch: Watch, brokers: str, count: int) -> tuple[float, float]:
    """Events per second, and per second of CPU."""
    now = datetime.now(UTC)
    with Publisher(brokers=brokers, service="bench", max_block=30) as publisher, watch(publisher):
        publisher.publish(typed(0, now)).wait(30)
        started, used = clock(), time.process_time()
        for index in range(count):
            publisher.publish(typed(index, now))
        assert publisher.flush(_CHILD_TIMEOUT)
        return count / (clock() - started), count / (time.process_time() - used)


def _run(name: str, brokers: str, events: int) -> tuple[float, float]:
    command = [sys.executable, "-m", "benchmarks.observe", "--child", name, "--brokers", brokers]
    done = subprocess.run(
        [*command, "--events", str(events // SLOW.get(name, 1))],
        capture_output=True,
        text=True,
        timeout=_CHILD_TIMEOUT,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-4000:]}")
    rate, per_cpu = done.stdout.split("RESULT ")[1].split()
    return float(rate), float(per_cpu)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.observe", description=__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="events a side and round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--brokers", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print("RESULT", *_rates(SIDES[options.child], options.brokers, options.events))
        return
    with RealKafka(nodes=1, jvm_options=["-XX:TieredStopAtLevel=4"]) as kafka:
        kafka.create_topic(TOPIC, partitions=6)
        print(
            f"{os.cpu_count()} cores shared with the broker, {platform.python_implementation()} "
            f"{platform.python_version()}, {options.events:,} events a side, {options.rounds} rounds"
        )
        _run(BASE, kafka.bootstrap_servers, options.events)  # the broker warms up
        rates: dict[str, list[tuple[float, float]]] = {name: [] for name in SIDES}
        for turn in range(options.rounds):
            names = list(SIDES)
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                rates[name].append(_run(name, kafka.bootstrap_servers, options.events))
    base = statistics.median(per_cpu for _, per_cpu in rates[BASE])
    print(f"{'side':28s} {'events/s':>10s} {'per CPU s':>10s} {'ratio':>6s}   rounds, per CPU s")
    for name, values in rates.items():
        rate, per_cpu = (statistics.median(each) for each in zip(*values, strict=True))
        shown = " ".join(f"{value / 1000:.0f}k" for _, value in sorted(values))
        print(f"{name:28s} {rate:10,.0f} {per_cpu:10,.0f} {per_cpu / base:6.3f}   {shown}")


if __name__ == "__main__":
    main()
