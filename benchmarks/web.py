"""What an audit entry adds to a request: ``python -m benchmarks.web``.

The same application under uvicorn, bare and with a middleware, one worker each, in turns, all against one
real broker on the same machine. The load is wrk's, where it is installed, else that of a small client of our
own. Three ratios to the bare application, medians of the rounds of this run: how long an answer takes at 300
requests a second (that client's), and under full load the time a request takes the server's processor (its
threads included), and requests per second.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.webapps import BARE, KINDS, SIDES, TOPIC
from tidings.testing import RealKafka

_CONNECTIONS = 32
_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE = 30.0
_CALM, _PACE = 3, 0.01
"""Connections, and seconds between two requests of one, where the server has time to spare."""
_REQUEST = b"GET /orders/o-7 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_LOG = ("--no-access-log", "--log-level", "warning")


def main() -> None:
    options = _options()
    tool = "wrk" if shutil.which("wrk") else "a client of our own"
    with RealKafka(nodes=1, jvm_options=["-XX:TieredStopAtLevel=4"]) as kafka:
        kafka.create_topic(TOPIC, partitions=6)
        print(
            f"{os.cpu_count()} cores shared with the broker and the load ({tool}, {_CONNECTIONS} "
            f"connections), {platform.python_implementation()} {platform.python_version()}, "
            f"{options.rounds} rounds of {options.seconds} s\n"
        )
        for kind in options.kinds:
            _compare(kind, kafka.bootstrap_servers, options.rounds, options.seconds)


def _compare(kind: str, brokers: str, rounds: int, seconds: int) -> None:
    costs: dict[str, list[float]] = {side: [] for side in SIDES}
    rates: dict[str, list[float]] = {side: [] for side in SIDES}
    waits: dict[str, list[float]] = {side: [] for side in SIDES}
    with contextlib.ExitStack() as running:
        servers = {side: running.enter_context(_server(kind, side, brokers)) for side in SIDES}
        for port, _ in servers.values():
            _load(port, 1)
        for _ in range(rounds):
            for side, (port, pid) in servers.items():
                before = _processor_time(pid)
                requests = _load(port, seconds)
                rates[side].append(requests / seconds)
                costs[side].append((_processor_time(pid) - before) / requests * 1e6)
            for side, (port, _) in servers.items():
                times = asyncio.run(_ask(port, seconds, _CALM, _PACE))
                waits[side].append(statistics.median(times) * 1e6)
    wait = statistics.median(waits[BARE])
    cost, rate = statistics.median(costs[BARE]), statistics.median(rates[BARE])
    titles = ("µs/answer", "ratio", "µs processor", "ratio", "requests/s", "ratio")
    print(f"{kind:28s} {'%10s %6s %13s %6s %11s %6s' % titles}")  # noqa: UP031 - the widths in one look
    for side in SIDES:
        answer = statistics.median(waits[side])
        own, many = statistics.median(costs[side]), statistics.median(rates[side])
        print(
            f"{side:28s} {answer:10.0f} {answer / wait:6.2f} {own:13.0f} {own / cost:6.2f} "
            f"{many:11,.0f} {rate / many:6.2f}"
        )
    print(flush=True)


@contextlib.contextmanager
def _server(kind: str, side: str, brokers: str) -> Iterator[tuple[int, int]]:
    """A server of one side: its port and its process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "--port", str(port), *_LOG, "benchmarks.webapps:app"],
        env={**os.environ, "SIDE": side, "KIND": kind, "KAFKA_BROKERS": brokers},
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + _PATIENCE
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{side} did not start")
            time.sleep(0.05)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(_PATIENCE)


def _processor_time(pid: int) -> float:
    """Seconds of processor that all threads of a process have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _load(port: int, seconds: int) -> int:
    """Ask for so many seconds; how many requests were answered."""
    if not shutil.which("wrk"):
        return len(asyncio.run(_ask(port, seconds, _CONNECTIONS)))
    url = f"http://127.0.0.1:{port}/orders/o-7"
    command = ["wrk", "--threads", "1", "--connections", str(_CONNECTIONS), "--duration", f"{seconds}s", url]
    said = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=seconds + _PATIENCE
    ).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(f"the server did not answer well:\n{said}")
    found = re.search(r"(\d+) requests in", said)
    assert found, said
    return int(found[1])


async def _ask(port: int, seconds: int, connections: int, pace: float = 0.0) -> list[float]:
    """Ask for so many seconds, each connection resting ``pace`` seconds; how long each answer took."""
    end, times = time.monotonic() + seconds, list[float]()

    async def work() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < end:
            began = time.perf_counter()
            writer.write(_REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            found = re.search(rb"content-length: (\d+)", head)
            if found is None or not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"the server did not answer well:\n{head.decode()}")
            await reader.readexactly(int(found[1]))
            times.append(time.perf_counter() - began)
            await asyncio.sleep(pace)
        writer.close()

    await asyncio.gather(*(work() for _ in range(connections)))
    return times


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.web", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=4, help="of load, a side and round")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    return parser.parse_args()


if __name__ == "__main__":
    main()
