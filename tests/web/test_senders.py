"""The senders that are shipped: in memory, to a log, to a file, to several; Kafka's is tested with it."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.books import LONG
from support.scripts import run_script
from tidings import EventTooLarge, InvalidEvent, Publisher, PublisherClosed, PublishError, Sender
from tidings.events.catalogue import AuditEntry
from tidings.publishing.complaints import Complaint
from tidings.publishing.filesender import FileSender
from tidings.publishing.plain import plain
from tidings.publishing.senders import FanOutSender, InMemorySender, LoggingSender
from tidings.testing import InMemoryTransport


class Failing:
    """Takes nothing until it is told to."""

    def __init__(self) -> None:
        self.works = False
        self.is_closed = False

    def send(self, key: object, value: object) -> None:
        if not self.works:
            raise PublishError("No room.")

    def close(self) -> None:
        self.is_closed = True
        raise ZeroDivisionError


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_all_are_senders(tmp_path: Path) -> None:
    with Publisher(transport=InMemoryTransport()) as publisher:
        made = [
            InMemorySender(),
            LoggingSender(),
            FileSender(tmp_path / "a"),
            FanOutSender(),
            publisher.sender(),
        ]
        assert all(isinstance(it, Sender) for it in made)


def test_in_memory_keeps_the_newest() -> None:
    sender = InMemorySender(most=2)
    for number in range(3):
        sender.send(number, {"n": number})
    assert list(sender.sent) == [(1, {"n": 1}), (2, {"n": 2})]
    with pytest.raises(InvalidEvent):
        sender.send("k", object())
    sender.close()
    with pytest.raises(PublisherClosed):
        sender.send("k", 1)


def test_the_log_has_one_line_each_and_masks_persons(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tidings.sender")
    sender = LoggingSender()
    sender.send("k\n", AuditEntry(id="a-1", subject="ann", user_agent="x\nERROR forged\x9b\u2028"))
    sender.send(b"\xff", b"bytes\n\xff")
    sender.send(None, "x" * 100_000)
    audit, raw, long = caplog.messages
    assert "\n" not in audit + raw + long
    assert audit.isascii()
    assert json.loads(audit)["value"]["subject"] == "***"
    assert json.loads(audit)["value"]["id"] == "a-1"
    assert json.loads(raw) == {"key": "\\xff", "value": "bytes\n\\xff"}
    assert len(long) == 8192
    sender.close()
    with pytest.raises(PublisherClosed):
        sender.send("k", 1)


def test_fan_out_gives_to_the_others_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tidings.sender")
    first, failing, last = InMemorySender(), Failing(), InMemorySender()
    sender = FanOutSender(first, failing, last)
    for number in range(5):
        sender.send("k", number)
    assert first.values == last.values == [0, 1, 2, 3, 4]
    assert sender.failures == [0, 5, 0]
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "No room." in caplog.text
    failing.works = True
    sender.send("k", 5)
    assert "no longer; 4 more times" in caplog.messages[-1]
    with pytest.raises(ZeroDivisionError):
        sender.close()
    assert first.is_closed
    assert failing.is_closed
    assert last.is_closed


def test_fan_out_raises_where_nobody_took_it() -> None:
    with pytest.raises(PublishError, match="No room"):
        FanOutSender(Failing(), Failing()).send("k", 1)


def test_fan_out_returns_the_delivery() -> None:
    with Publisher(transport=InMemoryTransport()) as publisher:
        delivery = FanOutSender(InMemorySender(), publisher.sender("t")).send("k", {"a": 1})
        assert delivery is not None
        assert delivery.topic == "t"


def test_a_complaint_counts_from_many_threads(caplog: pytest.LogCaptureFixture) -> None:
    complaint = Complaint(logging.getLogger("tidings.tests"), "it failed")

    def complain() -> None:
        for _ in range(500):
            complaint.record("why\nnot")

    threads = [threading.Thread(target=complain) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert complaint.count == 2000
    assert caplog.messages == ["it failed: why\\nnot"]


def test_failures_that_come_and_go_are_two_lines_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "tidings.tests")
    now = 1000.0
    monkeypatch.setattr("tidings.publishing.complaints.time.monotonic", lambda: now)
    complaint = Complaint(logging.getLogger("tidings.tests"), "it failed")
    for _ in range(100):
        complaint.record("why")
        complaint.relieve()
    assert caplog.messages == ["it failed: why", "it failed: no longer; 0 more times since it was last said"]
    now += 60
    complaint.relieve()
    complaint.relieve()
    assert caplog.messages[2:] == ["it failed: no longer; 99 more times since it was last said"]
    complaint.record("how")
    assert caplog.messages[3:] == ["it failed: how"]
    assert complaint.count == 101


def test_a_logger_that_raises_is_no_second_failure(capsys: pytest.CaptureFixture[str]) -> None:
    class Raising(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise ZeroDivisionError

    logger = logging.getLogger("tidings.tests.raising")
    logger.addFilter(Raising())
    complaint = Complaint(logger, "it failed")
    complaint.record("why")
    assert complaint.count == 1
    assert capsys.readouterr().err == "the logger raised ZeroDivisionError for: it failed: why\n"


@given(st.text(), st.integers(1, 50))
def test_plain_text_is_printable_and_bounded(text: str, most: int) -> None:
    shown = plain(text, most)
    assert shown.isprintable()
    assert len(shown) <= most
    if text.isprintable() and len(text) <= most:
        assert shown == text


def test_a_file_has_a_line_each(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "audit.jsonl"
    sender = FileSender(path, fsync=True)
    sender.send("k", {"text": "two\nlines"})
    sender.send(None, b'{\n"a": 1}')
    sender.send(b"\xff", b"no json\n")
    assert lines(path) == [
        {"key": "k", "value": {"text": "two\nlines"}},
        {"key": None, "value": {"a": 1}},
        {"key": "\\xff", "value": "no json\n"},
    ]
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(InvalidEvent):
        sender.send("k", object())
    sender.close()
    sender.close()
    with pytest.raises(PublisherClosed):
        sender.send("k", 1)


@pytest.mark.parametrize("backups", [0, 2])
def test_a_file_is_bounded(tmp_path: Path, backups: int) -> None:
    path = tmp_path / "audit.jsonl"
    sender = FileSender(path, max_bytes=200, backups=backups)
    for number in range(100):
        sender.send(None, number)
    kept = sorted(it for it in tmp_path.iterdir() if it.suffix != ".lock")
    assert len(kept) == backups + 1
    assert all(it.stat().st_size <= 200 for it in kept)
    newest_last = [path.with_name(f"audit.jsonl.{n}") for n in range(backups, 0, -1)] + [path]
    numbers = [line["value"] for it in newest_last for line in lines(it)]
    assert numbers == list(range(100 - len(numbers), 100))
    with pytest.raises(EventTooLarge):
        sender.send(None, "x" * 300)
    sender.close()


def test_a_torn_line_is_closed_off(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text('{"key":null,"val')
    sender = FileSender(path)
    sender.send(None, 1)
    sender.close()
    assert path.read_text().splitlines()[1:] == ['{"key":null,"value":1}']


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, write = tmp_path / "audit.jsonl", os.write
    sender = FileSender(path)
    sender.send(None, 1)
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:5]))
    with pytest.raises(PublishError, match="disk is full"):
        sender.send(None, 2)
    monkeypatch.undo()
    sender.send(None, 3)
    sender.close()
    assert [line["value"] for line in lines(path)] == [1, 3]


def test_a_file_that_cannot_be_written_is_a_publish_error(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").mkdir()
    with pytest.raises(PublishError, match="cannot be written"):
        FileSender(tmp_path / "audit.jsonl").send(None, 1)


def test_a_stopped_process_does_not_hold_the_others_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    ready, told = os.pipe()
    if (child := os.fork()) == 0:
        holder = FileSender(path)
        holder.send(None, 0)
        holder._lock_file(holder._hold, 0)
        os.write(told, b"x")
        signal.pause()
    try:
        os.read(ready, 1)
        with pytest.raises(PublishError):
            FileSender(path, patience=0.05).send(None, 1)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(told)
    sender = FileSender(path)
    sender.send(None, 2)
    sender.close()
    assert [line["value"] for line in lines(path)] == [0, 2]


WRITERS = """
import os, sys, threading
from tidings.publishing.filesender import FileSender
sender = FileSender(sys.argv[1], max_bytes=20_000, backups=100)
sender.send(None, "parent")
pids = []
for child in range(3):
    pid = os.fork()
    if not pid:
        def write(thread):
            for number in range(100):
                sender.send(None, [child, thread, number, "x" * 50])
        threads = [threading.Thread(target=write, args=(it,)) for it in range(3)]
        [it.start() for it in threads]; [it.join() for it in threads]
        os._exit(0)
    pids.append(pid)
assert all(os.waitpid(pid, 0)[1] == 0 for pid in pids)
"""


def test_the_first_lines_of_several_threads(tmp_path: Path) -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(100):
            sender = FileSender(tmp_path / str(number), patience=LONG)
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(sender.send, [None] * 4, range(4)))
            assert sorted(line["value"] for line in lines(tmp_path / str(number))) == [0, 1, 2, 3]
            sender.close()
    finally:
        sys.setswitchinterval(before)


def test_threads_and_forked_processes_share_a_file(tmp_path: Path) -> None:
    run_script("-c", WRITERS, str(tmp_path / "audit.jsonl"))
    files = [it for it in tmp_path.iterdir() if it.suffix != ".lock"]
    found = [line["value"] for it in files for line in lines(it)]
    assert len(files) > 2
    assert all(it.stat().st_size <= 20_000 for it in files)
    assert found.count("parent") == 1
    numbers = sorted(tuple(it[:3]) for it in found if it != "parent")
    assert numbers == [(c, t, n) for c in range(3) for t in range(3) for n in range(100)]


FORKED = """
import fcntl, os, sys, threading, time
from tidings.publishing.filesender import FileSender
sender = FileSender(sys.argv[1], patience=5)
sender.send(None, "first")
lock = os.open(sys.argv[1] + ".lock", os.O_RDWR)
fcntl.flock(lock, fcntl.LOCK_EX)
thread = threading.Thread(target=sender.send, args=(None, "thread"))
thread.start()
while not sender._hold.thread.locked():
    time.sleep(0.001)
pid = os.fork()
if not pid:
    fcntl.flock(lock, fcntl.LOCK_UN)
    sender.send(None, "child")
    os._exit(0)
thread.join()
assert os.waitpid(pid, 0)[1] == 0
"""


def test_a_child_forked_while_a_thread_sends(tmp_path: Path) -> None:
    run_script("-c", FORKED, str(tmp_path / "audit.jsonl"))
    assert {line["value"] for line in lines(tmp_path / "audit.jsonl")} == {"first", "thread", "child"}
