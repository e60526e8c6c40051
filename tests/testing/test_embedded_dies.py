"""The embedded broker's process goes with the process that started it, however that goes, and not before."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from support.processes import is_alive, start_python, wait_until

START = """if True:
    import json, os, subprocess, sys, threading, time
    from tidings.testing import EmbeddedBroker
    broker = EmbeddedBroker().start()
    def say(**facts):
        print(json.dumps({"broker": broker.pid, "address": broker.bootstrap_servers, **facts}), flush=True)
"""


class Parent:
    """A process that has started a broker, and what it said about it."""

    def __init__(self, script: str) -> None:
        self.process = start_python(START + "    " + script.strip().replace("\n", "\n    "))
        assert self.process.stdout is not None
        self.facts = json.loads(self.process.stdout.readline())
        self.broker: int = self.facts["broker"]

    def end(self) -> None:
        for pid in {self.broker, self.facts.get("other", self.broker)}:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.communicate(timeout=30)


@pytest.fixture
def started() -> Iterator[list[Parent]]:
    parents: list[Parent] = []
    yield parents
    for parent in parents:
        parent.end()


def parent_of(started: list[Parent], script: str) -> Parent:
    started.append(Parent(script))
    return started[-1]


def test_goes_with_a_parent_that_is_killed(started: list[Parent]) -> None:
    parent = parent_of(started, "say(); time.sleep(600)")
    assert is_alive(parent.broker)
    parent.process.kill()
    assert wait_until(lambda: not is_alive(parent.broker))


def test_goes_with_a_parent_that_leaves_without_cleaning_up(started: list[Parent]) -> None:
    parent = parent_of(started, "say(); sys.stdin.readline(); os._exit(0)")
    assert is_alive(parent.broker)
    assert parent.process.communicate("go\n", timeout=30)
    assert wait_until(lambda: not is_alive(parent.broker))


def test_goes_with_a_parent_that_forgets_to_stop_it(started: list[Parent]) -> None:
    parent = parent_of(started, "say(); sys.stdin.readline()")
    assert is_alive(parent.broker)
    assert parent.process.communicate("go\n", timeout=30)
    assert parent.process.returncode == 0
    assert wait_until(lambda: not is_alive(parent.broker))


def test_goes_although_a_forked_child_of_the_parent_lives_on(started: list[Parent]) -> None:
    script = """
pid = os.fork()
if pid == 0:
    time.sleep(600)
say(other=pid)
time.sleep(600)
"""
    parent = parent_of(started, script)
    parent.process.kill()
    assert wait_until(lambda: not is_alive(parent.broker))
    assert is_alive(parent.facts["other"])


def test_goes_although_a_program_that_the_parent_started_lives_on(started: list[Parent]) -> None:
    script = """
say(other=subprocess.Popen(["sleep", "600"], close_fds=False).pid)
time.sleep(600)
"""
    parent = parent_of(started, script)
    parent.process.kill()
    assert wait_until(lambda: not is_alive(parent.broker))
    assert is_alive(parent.facts["other"])


def test_outlives_the_thread_that_started_it(started: list[Parent]) -> None:
    script = """
broker.stop()
thread = threading.Thread(target=broker.start)
thread.start()
thread.join()
say()
sys.stdin.readline()
broker.create_topic("still-there")
print("answered", flush=True)
"""
    parent = parent_of(started, script)
    out, _ = parent.process.communicate("go\n", timeout=30)
    assert out == "answered\n"


def test_a_forked_child_can_neither_stop_nor_command_it(started: list[Parent]) -> None:
    script = """
pid = os.fork()
if pid == 0:
    broker.stop()
    try:
        broker.create_topic("mine")
    except Exception as error:
        os._exit(7 if "only the process that started" in str(error) else 1)
    os._exit(2)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
broker.create_topic("still-there")
say(status=status)
"""
    assert parent_of(started, script).facts["status"] == 7


def test_an_in_process_cluster_does_not_hang_a_forked_child() -> None:
    script = """if True:
    import os, time
    from tidings.testing import EmbeddedCluster
    with EmbeddedCluster() as cluster:
        pid = os.fork()
        if pid == 0:
            cluster.stop()
            try:
                cluster.down()
            except Exception as error:
                os._exit(7 if "process that forked this one" in str(error) else 1)
            os._exit(2)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
        cluster.down()
"""
    process = start_python(script)
    try:
        out, _ = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert (out, process.returncode) == ("7\n", 0)
