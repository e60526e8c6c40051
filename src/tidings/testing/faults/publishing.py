"""What the load program does: it publishes from threads and a loop, and writes down what it is told."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import threading
import time
from collections import deque

import msgspec

from tidings import Delivery, Publisher, PublishError, Settings, TidingsError
from tidings.events.declare import Registry
from tidings.testing.faults.crash import arm
from tidings.testing.faults.ledger import Ledger

_TICK = 0.01
_SAFE_WAIT = 0.05
_LAST_WORDS = 5.0
_RAW_EVERY = 10


class Publishing:
    """A publisher from the environment, and the threads that use it."""

    def __init__(self, options: argparse.Namespace) -> None:
        logging.basicConfig(
            stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(name)s %(message)s"
        )
        self.rate: float = options.rate
        self._options = options
        self._pad = "x" * options.size
        self._over = threading.Event()
        self._unsafe: deque[tuple[str, Delivery]] = deque()
        self._ledger = Ledger(options.ledger)
        self._settled: deque[None] = deque()
        self._accepted: deque[None] = deque()
        self._event = _numbered(options.topic)
        if options.crash:
            arm(options.crash)
        settings = Settings()
        self._ledger.started(durability=settings.durability, store_after=settings.store_after)
        self._publisher = Publisher(settings)
        workers = options.threads + options.loop
        targets = [(self._in_thread, name) for name in range(options.threads)]
        targets += [(self._in_loop, options.threads)] * options.loop
        self._share = 1 / workers if workers else 0.0
        self._threads = [threading.Thread(target=target, args=(name,)) for target, name in targets]
        self._watching = threading.Thread(target=self._watch_safety, daemon=True)

    def start(self) -> None:
        """Begin to publish."""
        for thread in (*self._threads, self._watching):
            thread.start()

    def report(self) -> None:
        """Write the counters down."""
        self._ledger.stats(self._publisher.stats())

    def end(self) -> None:
        """End the threads that publish, and do not close."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def stop(self, timeout: float | None) -> None:
        """End the threads, close, and write down how it ended."""
        self.end()
        report = self._publisher.close(timeout)
        self._watching.join()
        # Callbacks come on a thread of their own, and the last of them may come after close() has returned.
        deadline = time.monotonic() + _LAST_WORDS
        while len(self._settled) < len(self._accepted) and time.monotonic() < deadline:
            time.sleep(_TICK)
        self._ledger.closed(report, self._publisher.stats(), self._publisher.audit())

    def _in_thread(self, name: int) -> None:
        pace = _Pace(name, self)
        while not self._over.is_set():
            for key, number in pace.due():
                taken = self._publish(key, number)
                if taken is not None:
                    self._unsafe.append(taken)
            time.sleep(_TICK)

    def _in_loop(self, name: int) -> None:
        asyncio.run(self._publish_in_loop(name))

    async def _publish_in_loop(self, name: int) -> None:
        pace, waiting = _Pace(name, self), dict[asyncio.Task[None], tuple[str, Delivery]]()
        while not self._over.is_set():
            for key, number in pace.due():
                taken = self._publish(key, number)
                if taken is not None:
                    task = asyncio.create_task(self._await_safety(*taken))
                    waiting[task] = taken
                    task.add_done_callback(waiting.pop)
            await asyncio.sleep(_TICK)
        for task in waiting:
            task.cancel()
        # The loop ends before close(), and close() may be what makes them safe.
        self._unsafe.extend(waiting.values())

    def _publish(self, key: str, number: int) -> tuple[str, Delivery] | None:
        mark = f"{key}:{number}"
        event = self._event(key, number, self._pad)
        self._ledger.offered(mark, key, number)
        try:
            if number % _RAW_EVERY:
                delivery = self._publisher.publish(event)
            else:  # the other way in, with the same content
                value = msgspec.json.encode({"data": event})
                delivery = self._publisher.produce(self._options.topic, value, key)
        except PublishError as error:
            self._ledger.refused(mark, error.code)
            return None
        self._ledger.accepted(mark)
        self._accepted.append(None)
        delivery.add_done_callback(lambda settled: self._told(mark, settled))
        return mark, delivery

    def _told(self, mark: str, delivery: Delivery) -> None:
        self._ledger.settled(mark, delivery)
        self._settled.append(None)

    async def _await_safety(self, mark: str, delivery: Delivery) -> None:
        try:
            await delivery.safe()
        except TidingsError:
            return  # lost, and its callback says so
        self._ledger.safe(mark)

    def _watch_safety(self) -> None:
        while any(thread.is_alive() for thread in self._threads) or self._unsafe:
            if not self._unsafe:
                time.sleep(_TICK)
                continue
            mark, delivery = self._unsafe.popleft()
            try:
                delivery.wait_safe(_SAFE_WAIT)
            except TimeoutError:
                self._unsafe.append((mark, delivery))
            except TidingsError:
                continue  # lost, and its callback says so
            else:
                self._ledger.safe(mark)


class _Pace:
    """Which events of its keys a thread should have published by now."""

    def __init__(self, name: int, load: Publishing) -> None:
        self._load = load
        options = load._options
        self._keys = [f"{options.life}.{name}.{index}" for index in range(options.keys)]
        self._next = 0
        self._credit = 0.0
        self._last = time.monotonic()

    def due(self) -> list[tuple[str, int]]:
        """Keys and numbers; at most a second's worth after a pause."""
        now = time.monotonic()
        rate = self._load.rate * self._load._share
        self._credit = min(self._credit + (now - self._last) * rate, max(1.0, rate)) if rate else 0.0
        self._last = now
        count = int(self._credit)
        self._credit -= count
        start = self._next
        self._next += count
        return [
            (self._keys[index % len(self._keys)], index // len(self._keys))
            for index in range(start, self._next)
        ]


def _numbered(topic: str) -> type:
    class Numbered(msgspec.Struct):
        key: str
        number: int
        pad: str

    return Registry().event("load.numbered", topic=topic, key="key")(Numbered)
