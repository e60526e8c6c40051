"""What a real Kafka for tests leaves behind, which is nothing, and what it says when it does not come up."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from support.processes import is_alive, wait_until
from tidings.testing import RealKafka, RealKafkaError
from tidings.testing.jars import kafka_jars

pytestmark = pytest.mark.usefixtures("tidings_own_kafka")  # skips, or fails in CI, where Kafka cannot be had


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary directory of this test and of what it starts, so that it sees what is left in it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_nothing_is_left_after_stop(scratch: Path) -> None:
    kafka = RealKafka().start()
    node = kafka.pid(1)
    assert is_alive(node)
    assert list(scratch.iterdir())
    kafka.stop()
    assert not is_alive(node)
    assert list(scratch.iterdir()) == []
    with pytest.raises(RealKafkaError, match="not running"):
        _ = kafka.bootstrap_servers
    kafka.stop()


@pytest.mark.parametrize("meanwhile", ["pass", "kafka.pause(1); os.fork() or time.sleep(600)"])
def test_nothing_is_left_when_the_parent_is_killed(scratch: Path, meanwhile: str) -> None:
    script = f"""if True:
    import json, os, time
    from tidings.testing import RealKafka
    kafka = RealKafka().start()
    parent = os.getpid()
    {meanwhile}
    if os.getpid() == parent:
        print(kafka.pid(1), flush=True)
    time.sleep(600)
    """
    command = [sys.executable, "-c", script]
    parent = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        assert parent.stdout is not None
        node = int(parent.stdout.readline())
        assert is_alive(node)
        assert list(scratch.iterdir())
        parent.kill()
        assert wait_until(lambda: not list(scratch.iterdir()))
        assert wait_until(lambda: not is_alive(node))
    finally:
        os.killpg(parent.pid, signal.SIGKILL)  # the forked child is still there, as it should be
        parent.communicate(timeout=30)


def test_a_node_that_does_not_start_says_why_in_the_failure(scratch: Path) -> None:
    broken = {"listener.name.secure.ssl.keystore.location": "/nonexistent/broker.pem"}
    with pytest.raises(RealKafkaError, match=r"(?s)node 1 has ended by itself.*/nonexistent/broker\.pem"):
        RealKafka(config=broken).start()
    assert list(scratch.iterdir()) == []


def test_a_disk_that_cannot_be_formatted_says_why_in_the_failure(scratch: Path) -> None:
    with pytest.raises(RealKafkaError, match=r"(?s)could not format.*not-a-number"):
        RealKafka(config={"node.id": "not-a-number"}).start()
    assert list(scratch.iterdir()) == []


def _state(pid: int) -> str:
    command = ["ps", "-o", "state=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_kafka_that_is_not_ready_in_time_shows_its_log(tidings_own_kafka: RealKafka) -> None:
    tidings_own_kafka.wait_ready(timeout=0)
    pid = tidings_own_kafka.pid(1)
    os.kill(pid, signal.SIGSTOP)  # not by pause(): a node that is paused on purpose is not waited for
    try:
        assert wait_until(lambda: _state(pid).startswith("T")), "its threads stop one after another"
        with pytest.raises(
            RealKafkaError, match=r"nodes \[1\] are not ready in time\.\n--- node 1, last lines:\n.*\S"
        ):
            tidings_own_kafka.wait_ready(timeout=0)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_node_that_has_died_is_not_waited_for(tidings_own_kafka: RealKafka) -> None:
    def says_so() -> bool:
        try:
            tidings_own_kafka.pid(1)
        except RealKafkaError as error:
            return "node 1 is not running" in str(error) and "INFO" in str(error)
        return False

    os.kill(tidings_own_kafka.pid(1), signal.SIGKILL)
    assert wait_until(says_so)
    tidings_own_kafka.wait_ready(timeout=0)


def test_jars_that_are_here_are_found_without_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert any("kafka-clients" in jar.name for jar in kafka_jars())
