"""Processes that others start and stop: of gunicorn, uvicorn, Celery, multiprocessing; scripts with signals.

Each notes the events it accepted in a file. When it is gone all of them are in Kafka, read back by a plain
consumer, although nobody called close() and FLUSH_TIMEOUT still held some back when the end came.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.kafka_reader import read_topic
from support.processes import wait_until
from support.programs import PROGRAMS
from tidings.testing import EmbeddedBroker
from tidings.testing.contract import unique_topic

Start = Callable[..., "subprocess.Popen[str]"]
Arrived = Callable[[], set[int]]
Options = tuple[str, ...]
_START = 60.0
TERM, INT, QUIT = signal.SIGTERM, signal.SIGINT, signal.SIGQUIT


@pytest.fixture
def topic(broker: EmbeddedBroker) -> str:
    name = unique_topic()
    broker.create_topic(name)
    return name


@pytest.fixture
def accepted(tmp_path: Path) -> Path:
    """The file that programs note accepted events in."""
    path = tmp_path / "accepted"
    path.touch()
    return path


@pytest.fixture
def arrived(broker: EmbeddedBroker, topic: str, accepted: Path) -> Arrived:
    """What is in Kafka once the program is gone: each event once, and all that were accepted."""

    def read() -> set[int]:
        found = [record.json() for record in read_topic(broker.bootstrap_servers, topic, 0)]
        assert _noted(accepted) - set(found) == set()
        assert len(found) == len(set(found))
        return set(found)

    return read


@pytest.fixture
def start(broker: EmbeddedBroker, topic: str, accepted: Path) -> Iterator[Start]:
    """Start ``python *arguments`` in the programs' directory; it is gone at the end of the test."""
    started: list[subprocess.Popen[str]] = []

    def start_program(*arguments: str, **variables: str) -> subprocess.Popen[str]:
        names = {
            "KAFKA_BROKERS": broker.bootstrap_servers,
            "KAFKA_FLUSH_TIMEOUT": "2s",
            "TOPIC": topic,
            "ACCEPTED": str(accepted),
        }
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=PROGRAMS,
            env={**os.environ, **names, **variables},
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start_program
    for process in started:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()


GUNICORN = ("gunicorn", "--workers", "2", "--graceful-timeout", "10", "--bind")
UVICORN = ("uvicorn", "--port")


@pytest.mark.parametrize(
    ("server", "app", "options", "number"),
    [
        (GUNICORN, "wsgi", (), TERM),
        (GUNICORN, "wsgi", ("--preload", "--worker-class", "gthread", "--threads", "4"), INT),
        (GUNICORN, "wsgi", ("--max-requests", "25"), TERM),
        (GUNICORN, "asgi", ("--worker-class", "asgi"), QUIT),
        (UVICORN, "asgi", (), TERM),
        (UVICORN, "asgi", (), INT),
    ],
)
def test_servers(
    start: Start,
    arrived: Arrived,
    server: tuple[str, ...],
    app: str,
    options: Options,
    number: signal.Signals,
) -> None:
    pytest.importorskip(server[0])
    port = _free_port()
    place = f"127.0.0.1:{port}" if server == GUNICORN else str(port)
    preloaded = "yes" if "--preload" in options else ""
    command = ("-m", *server, place, "--log-level", "warning", *options, f"prefork_service:{app}")
    process = start(*command, PUBLISH_AT_IMPORT=preloaded)
    workers: set[str] = set()
    posted = 0
    least = 4 if "--max-requests" in options else server.count("--workers") + 1
    while posted < 100 or len(workers) < least:  # gunicorn forgets a signal while a worker starts
        workers.add(_post(port, posted))
        posted += 1
    # uvicorn ends by its signal once it has shut down, or with 0, by version
    _stop(process, number, {0} if server == GUNICORN else {0, -number, 128 + number})
    assert arrived() == set(range(-1 if preloaded else 0, posted))


@pytest.mark.parametrize(
    ("options", "number", "told", "held"),
    [
        (("--max-tasks-per-child", "5"), TERM, "told", "3s"),
        ((), QUIT, "told", "6s"),
        ((), TERM, "", "6s"),
    ],
    ids=["recycled, warm shutdown", "cold shutdown", "forgotten"],
)
def test_celery(
    start: Start,
    arrived: Arrived,
    accepted: Path,
    tmp_path: Path,
    options: Options,
    number: signal.Signals,
    told: str,
    held: str,
) -> None:
    pytest.importorskip("celery")
    variables = {"QUEUE": str(tmp_path), "CLOSE": told, "KAFKA_FLUSH_TIMEOUT": held}
    assert start("celery_tasks.py", "20", **variables).wait(60) == 0
    quiet = ("--without-mingle", "--without-gossip", "--without-heartbeat", "--loglevel", "error")
    command = ("-m", "celery", "--quiet", "--app", "celery_tasks", "worker", "--concurrency", "2")
    process = start(*command, *quiet, *options, **variables)
    assert wait_until(lambda: len(_noted(accepted)) == 20, 120)
    _stop(process, number, {0})
    assert arrived() == set(range(20))


@pytest.mark.parametrize(
    ("method", "first"),
    [("fork", "parent"), ("fork", "children"), ("spawn", "children"), ("forkserver", "parent")],
)
def test_children_of_multiprocessing(start: Start, arrived: Arrived, method: str, first: str) -> None:
    assert start("children.py", method, first, KAFKA_FLUSH_TIMEOUT="500ms").wait(60) == 0
    assert arrived() == set(range(-10, 50))


@pytest.mark.parametrize(
    ("way", "number"),
    [("thread", TERM), ("thread", INT), ("asyncio", TERM), ("asyncio", INT), ("second", TERM)],
)
def test_a_script_that_closes_on_signals(
    start: Start, arrived: Arrived, accepted: Path, tmp_path: Path, way: str, number: signal.Signals
) -> None:
    end = tmp_path / "end"
    process = start("script_with_signals.py", way, str(end))
    assert wait_until(lambda: len(_noted(accepted)) > 100)
    assert _stop(process, number, {128 + number}) == ""
    assert end.read_text() == "closed=True restored=True"
    # one more at most: accepted, and the signal came before it was noted
    assert len(arrived() - _noted(accepted)) <= 1


def test_signals_do_not_end_the_exit_early(broker: EmbeddedBroker, start: Start, arrived: Arrived) -> None:
    broker.delay(300)
    try:
        start("interrupted_exit.py").wait(60)
    finally:
        broker.delay(0)
    assert arrived() == set(range(100))


def _stop(process: subprocess.Popen[str], number: signal.Signals, codes: set[int]) -> str:
    """Send the signal and wait for the end; what the program said."""
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode in codes, told
    return told


def _noted(accepted: Path) -> set[int]:
    return set(map(int, accepted.read_text().split()))


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _post(port: int, number: int) -> str:
    """POST until the service answers, at most a minute; the worker's process id."""
    end = time.monotonic() + _START
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("POST", f"/{number}")
            response = connection.getresponse()
            body = response.read().decode()
            assert response.status == 200, body
            return body
        except (ConnectionError, http.client.HTTPException):
            assert time.monotonic() < end
            time.sleep(0.05)
        finally:
            connection.close()
