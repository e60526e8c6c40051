"""Interrupts the first event and the close of one publisher after another, thousands of times in all.

Argument: how many publishers.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from support.books import LONG, check_books, ids_of
from support.events import OrderPlaced
from tidings import CloseReport, Delivery, Publisher, State
from tidings.settings import Settings
from tidings.testing.memory import InMemoryTransport

logging.disable(logging.CRITICAL)
settings = Settings(brokers="nowhere:9092", service="life")
interrupts: list[str] = []


class Boom(BaseException):
    pass


def on_alarm(_: int, frame: FrameType | None) -> None:
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00002, 0.0006))
    while frame is not None:
        if frame.f_code in HOT_CODES:
            interrupts.append(frame.f_code.co_name)
            raise Boom
        frame = frame.f_back


def hot_publish(publisher: Publisher, returned: list[Delivery]) -> None:
    for _ in range(3):
        returned.append(publisher.publish(OrderPlaced("o")))


def hot_close(publisher: Publisher, reports: list[CloseReport]) -> None:
    reports.append(publisher.close(LONG))


def until(done: Callable[[], object], hot: Callable[[], None]) -> None:
    while not done():
        try:
            hot()
        except Boom:
            continue


def live() -> None:
    """One publisher's life."""
    transport = InMemoryTransport()
    publisher = Publisher(settings, transport=transport)
    returned: list[Delivery] = []
    reports: list[CloseReport] = []
    until(lambda: returned, lambda: hot_publish(publisher, returned))
    until(lambda: reports, lambda: hot_close(publisher, reports))
    stats = check_books(publisher)
    assert stats.in_flight == 0
    assert stats.accepted == stats.delivered + stats.lost >= len(returned)
    assert publisher.close() is reports[-1]
    ids = ids_of(transport)
    for delivery in returned:
        assert delivery.done()
        assert delivery.state is not State.DELIVERED or delivery.event_id in ids
    assert stats.lost == 0, "Kafka was there all the time"


HOT_CODES = {hot_publish.__code__, hot_close.__code__}
signal.signal(signal.SIGALRM, on_alarm)
signal.setitimer(signal.ITIMER_REAL, 0.001)
for _ in range(int(sys.argv[1])):
    live()
signal.signal(signal.SIGALRM, signal.SIG_IGN)
tasks = Path("/proc/self/task")
if tasks.exists():
    end = time.monotonic() + LONG
    while len(os.listdir(tasks)) > 5 and time.monotonic() < end:
        time.sleep(0.05)
    assert len(os.listdir(tasks)) <= 5, "poll threads are left behind"
print(f"{len(interrupts)} interrupts")
