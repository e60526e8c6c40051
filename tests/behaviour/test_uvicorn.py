"""uvicorn's ways of running a service: several workers (spawned), and reload."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.kafka_reader import read_topic
from support.programs import PROGRAMS
from tidings.testing import EmbeddedBroker
from tidings.testing.contract import unique_topic

pytest.importorskip("uvicorn")
_START = 60.0


@contextlib.contextmanager
def _uvicorn(broker: EmbeddedBroker, topic: str, folder: Path, *options: str) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "uvicorn",
            "service:app",
            "--port",
            str(port),
            "--log-level",
            "warning",
            *options,
        ],
        cwd=folder,
        env={**os.environ, "KAFKA_BROKERS": broker.bootstrap_servers, "TOPIC": topic},
    )
    try:
        yield port
        process.send_signal(signal.SIGTERM)
        # uvicorn ends by its signal once it has shut down, or with 0, by version
        assert process.wait(60) in {0, -signal.SIGTERM}
    finally:
        process.kill()
        process.wait()


def _post(port: int, number: int) -> int:
    """POST until the service answers, at most a minute; the worker's process id."""
    end = time.monotonic() + _START
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("POST", f"/publish/{number}")
            response = connection.getresponse()
            assert response.status == 200, response.read()
            pid: int = json.loads(response.read())["pid"]
            return pid
        except (ConnectionError, http.client.HTTPException):
            assert time.monotonic() < end
            time.sleep(0.1)
        finally:
            connection.close()


def _numbers(broker: EmbeddedBroker, topic: str, count: int) -> list[int]:
    return sorted(record.json()["number"] for record in read_topic(broker.bootstrap_servers, topic, count))


def test_four_workers(broker: EmbeddedBroker) -> None:
    topic = unique_topic()
    broker.create_topic(topic)
    with _uvicorn(broker, topic, PROGRAMS, "--workers", "4") as port:
        workers, end, number = set[int](), time.monotonic() + _START, 0
        while number < 200 or len(workers) < 2:  # the first may be alone for a while
            assert time.monotonic() < end, "one worker answers everything"
            workers.add(_post(port, number))
            number += 1
    assert _numbers(broker, topic, number) == list(range(number))


def test_reload(broker: EmbeddedBroker, tmp_path: Path) -> None:
    topic = unique_topic()
    broker.create_topic(topic)
    shutil.copy(PROGRAMS / "service.py", tmp_path)
    with _uvicorn(broker, topic, tmp_path, "--reload") as port:
        first = _post(port, 0)
        end = time.monotonic() + _START
        number = 0
        while True:  # touched until the reloader has seen it: it may not watch yet
            (tmp_path / "service.py").touch()
            time.sleep(0.5)
            number += 1
            if _post(port, number) != first:
                break
            assert time.monotonic() < end, "never reloaded"
    assert _numbers(broker, topic, number + 1) == list(range(number + 1))
