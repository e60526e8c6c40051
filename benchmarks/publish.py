"""How fast tidings publishes, beside its peers: ``python -m benchmarks.publish``.

Every side runs in a process of its own, in turns, against one real broker; ratios are between medians of
the rounds of this one run. Then lone events, many coroutines, and memory.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.latency import SCENES
from benchmarks.sides import SIDES, SLOW, TOPIC
from tidings.testing import RealKafka
from tidings.testing.jars import maven_jars
from tidings.testing.java import find_java

BASE = "raw confluent-kafka (base)"
JAVA = "Java ProducerPerformance"
_TOOLS = ("org.apache.kafka:kafka-clients:4.3.1", "org.apache.kafka:kafka-tools:4.3.1")
RECORD_SIZE = 430
_CHILD_TIMEOUT = 600


def main() -> None:
    options = _options()
    if options.child:
        print(f"RESULT {_child(options.child, options.brokers, options.events)}")
        return
    with RealKafka(nodes=1, jvm_options=["-XX:TieredStopAtLevel=4"]) as kafka:
        kafka.create_topic(TOPIC, partitions=6)
        brokers = kafka.bootstrap_servers
        print(
            f"{os.cpu_count()} cores shared with the broker, {platform.python_implementation()} "
            f"{platform.python_version()}, {options.events:,} events a side, {options.rounds} rounds\n"
        )
        if "rates" in options.parts:
            _rates(kafka, options.events, options.rounds)
        if "latency" in options.parts:
            for name in SCENES:
                print(f"{name:44s} {_run(name, brokers, 0)}", flush=True)
        if "memory" in options.parts:
            print(f"\n{_run('memory', brokers, 2_000_000)}")


def _rates(kafka: RealKafka, events: int, rounds: int) -> None:
    rates: dict[str, list[float]] = {name: [] for name in (*SIDES, JAVA)}
    for turn in range(rounds):
        for name, measured in rates.items():
            _progress(f"round {turn + 1} of {rounds}: {name}")
            if name == JAVA:
                measured.append(_java(kafka, events))
            else:
                measured.append(float(_run(name, kafka.bootstrap_servers, events // SLOW.get(name, 1))))
    _progress("")
    base = statistics.median(rates[BASE])
    print(f"{'side':32s} {'events/s':>10s} {'to base':>8s}   rounds")
    for name, values in sorted(rates.items(), key=lambda item: -statistics.median(item[1])):
        middle = statistics.median(values)
        rounds_text = " ".join(f"{value / 1000:.0f}k" for value in values)
        print(f"{name:32s} {middle:10,.0f} {middle / base:8.2f}   {rounds_text}")
    print(flush=True)


def _java(kafka: RealKafka, events: int) -> float:
    """Kafka's own tool: random bytes of the same size, no headers, the same batching."""
    command = [
        *(str(find_java().path), "-cp", os.pathsep.join(map(str, maven_jars(*_TOOLS)))),
        "org.apache.kafka.tools.ProducerPerformance",
        *(
            "--topic",
            TOPIC,
            "--num-records",
            str(events),
            "--record-size",
            str(RECORD_SIZE),
            "--throughput",
            "-1",
        ),
        *("--producer-props", f"bootstrap.servers={kafka.bootstrap_servers}", "acks=all", "linger.ms=5"),
        *("batch.size=1000000", "compression.type=snappy", "buffer.memory=67108864"),
    ]
    output = subprocess.run(
        command, capture_output=True, text=True, timeout=_CHILD_TIMEOUT, check=True
    ).stdout
    summary = output.strip().splitlines()[-1]  # "200000 records sent, 279000.1 records/sec (…"
    return float(summary.split(",")[1].split()[0])


def _run(name: str, brokers: str, events: int) -> str:
    command = [sys.executable, "-m", "benchmarks.publish", "--child", name, "--brokers", brokers]
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


def _child(name: str, brokers: str, events: int) -> object:
    if name == "memory":
        from benchmarks.memory import memory

        return memory(brokers, events)
    if name in SCENES:
        return SCENES[name](brokers)
    return SIDES[name](brokers, events)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.publish", description=__doc__)
    parser.add_argument("--events", type=int, default=400_000, help="events a side and round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--parts", nargs="+", default=["rates", "latency", "memory"])
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--brokers", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
