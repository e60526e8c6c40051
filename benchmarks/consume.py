"""How fast tidings consumes, beside its peers: ``python -m benchmarks.consume``.

Every side runs in a process of its own, in turns, and reads the same records of one topic of a real broker
with a typed handler that does next to nothing; ratios are between medians of the rounds of this one run. Then
the time from publish to the handler.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.readers import BASE, SIDES, SLOW, TOPIC, latency
from benchmarks.sides import CONFLUENT
from tidings.testing import RealKafka

_CHILD_TIMEOUT = 600


def main() -> None:
    """Print one line for each side."""
    options = _options()
    if options.child:
        if options.child.startswith("latency "):
            print(f"RESULT {latency(options.child.removeprefix('latency '), options.brokers)}")
        else:
            print(f"RESULT {SIDES[options.child](options.brokers, options.events)}")
        return
    with RealKafka(nodes=1, jvm_options=["-XX:TieredStopAtLevel=4"]) as kafka:
        kafka.create_topic(TOPIC, partitions=6)
        _fill(kafka.bootstrap_servers, options.events)
        print(
            f"{os.cpu_count()} cores shared with the broker, {platform.python_implementation()} "
            f"{platform.python_version()}, {options.events:,} events a side, {options.rounds} rounds\n"
        )
        if "rates" in options.parts:
            _rates(kafka.bootstrap_servers, options.events, options.rounds, options.sides)
        if "latency" in options.parts:
            kafka.create_topic("latency", partitions=6)
            for name in ("tidings", "FastStream"):
                print(f"{name:44s} {_run(f'latency {name}', kafka.bootstrap_servers, 0)}", flush=True)


def _fill(brokers: str, count: int) -> None:
    from confluent_kafka import Producer

    from benchmarks.corpus import encoded

    producer = Producer({"bootstrap.servers": brokers, **CONFLUENT})
    for number, record in enumerate(encoded(count)):
        while True:
            try:
                producer.produce(TOPIC, record.value, record.key, headers=record.headers)
                break
            except BufferError:
                producer.poll(0.01)
        if number % 500 == 0:
            producer.poll(0)
    producer.flush()


def _rates(brokers: str, events: int, rounds: int, only: Sequence[str]) -> None:
    names = [name for name in SIDES if not only or name == BASE or any(each in name for each in only)]
    rates: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, measured in rates.items():
            measured.append(float(_run(name, brokers, events // SLOW.get(name, 1))))
    base = statistics.median(rates[BASE])
    print(f"{'side':44s} {'events/s':>10s} {'to base':>8s}   rounds")
    for name, values in sorted(rates.items(), key=lambda item: -statistics.median(item[1])):
        middle = statistics.median(values)
        rounds_text = " ".join(f"{value / 1000:.0f}k" for value in values)
        print(f"{name:44s} {middle:10,.0f} {middle / base:8.2f}   {rounds_text}")
    print(flush=True)


def _run(name: str, brokers: str, events: int) -> str:
    command = [sys.executable, "-m", "benchmarks.consume", "--child", name, "--brokers", brokers]
    done = subprocess.run(
        [*command, "--events", str(events)],
        capture_output=True,
        text=True,
        timeout=_CHILD_TIMEOUT,
        check=False,
    )
    results = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not results:
        raise SystemExit(f"{name} failed with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return results[-1].removeprefix("RESULT ")


def _options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.consume", description=__doc__)
    parser.add_argument("--events", type=int, default=350_000, help="events a side and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", default=["rates", "latency"])
    parser.add_argument("--sides", nargs="*", default=[], help="words of the names of sides")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--brokers", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
