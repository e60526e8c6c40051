"""A plain script that publishes until a signal ends it; notes what it accepted, and how it was closed.

Arguments: the way (thread, asyncio, second), and the file for the end.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import time
from pathlib import Path

from tidings import Publisher
from tidings.stopping import close_on_signals

way, end = sys.argv[1:]
noted = os.open(os.environ["ACCEPTED"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
former = signal.getsignal(signal.SIGTERM)


def publish(publisher: Publisher, number: int) -> None:
    publisher.publish_json(os.environ["TOPIC"], number)
    os.write(noted, b"%d\n" % number)


def in_turn(publisher: Publisher) -> None:
    for number in itertools.count():
        publish(publisher, number)
        time.sleep(0.001)


async def on_a_loop(publisher: Publisher) -> None:
    for number in itertools.count():
        publish(publisher, number)
        await asyncio.sleep(0.001)


class Nagging(Publisher):
    """Each close() is met by two more signals."""

    def close(self, timeout: float | None = None):  # type: ignore[no-untyped-def]
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        return super().close(timeout)


publisher = (Nagging if way == "second" else Publisher).from_env()
try:
    with close_on_signals(publisher, timeout=20):
        if way == "asyncio":
            asyncio.run(on_a_loop(publisher))
        in_turn(publisher)
finally:
    report = publisher._closer._report  # that it was closed here, and not at the exit of the interpreter
    restored = signal.getsignal(signal.SIGTERM) is former
    Path(end).write_text(f"closed={report is not None} restored={restored}")
