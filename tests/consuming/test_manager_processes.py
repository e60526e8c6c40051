"""The Manager in processes of its own: asked to stop by a signal, and in the lifespan of a real server."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.books import LONG
from support.events import OrderPlaced, registry
from tidings import Publisher
from tidings.testing import EmbeddedBroker
from tidings.testing.contract import unique_topic

PROGRAMS = Path(__file__).parent / "programs"
TESTS = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture
def topic(broker: EmbeddedBroker) -> str:
    name = unique_topic()
    broker.create_topic(name, 1)
    return name


@pytest.mark.parametrize(("number", "form"), [(signal.SIGTERM, "run"), (signal.SIGINT, "arun")])
def test_a_signal_lets_all_finish_and_the_publisher_deliver(
    broker: EmbeddedBroker, topic: str, number: signal.Signals, form: str, tmp_path: Path
) -> None:
    with Publisher(brokers=broker.bootstrap_servers, registry=registry, durability="memory") as publisher:
        publisher.publish(OrderPlaced("o", 1), topic=topic).wait(LONG)
    with subprocess.Popen(
        [sys.executable, str(PROGRAMS / "manages.py"), broker.bootstrap_servers, topic, form],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(TESTS), "XDG_STATE_HOME": str(tmp_path)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in hand\n"
        process.send_signal(number)
        output = process.stdout.read()
        assert process.wait(LONG) == 0
    assert output == "{'first': 1, 'second': 1} 1\n"


def test_the_lifespan_of_a_real_server(broker: EmbeddedBroker, topic: str, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "managed_service:app", f"--port={port}"],
            cwd=PROGRAMS,
            env={**os.environ, "KAFKA_BROKERS": broker.bootstrap_servers, "TOPIC": topic},
            stdout=output,
            stderr=output,
        )
    try:
        ask(port, "POST", "/publish/hello")
        end = time.monotonic() + LONG
        while not (found := ask(port, "GET", "/look"))["seen"]:
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        assert found == {"seen": ["hello"], "health": {"publisher": "healthy", "notes": "healthy"}}
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONG) in {0, -signal.SIGTERM}, log.read_text()
    finally:
        process.kill()
        process.wait()
    assert "Application shutdown complete" in log.read_text()


def ask(port: int, method: str, path: str) -> Any:
    """What the service answers, once it serves."""
    end = time.monotonic() + LONG
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request(method, path)
            return json.loads(connection.getresponse().read())
        except ConnectionError:
            assert time.monotonic() < end
            time.sleep(0.05)
        finally:
            connection.close()
