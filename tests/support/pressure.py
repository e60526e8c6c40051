"""Pressure: threads that publish until they are told to stop, and events of each priority."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

import msgspec

from support.books import LONG
from tidings import Delivery, PublishError, Registry

Publish = Callable[[], Delivery]
event = Registry().event


@event("load.low", priority="low")
class Low(msgspec.Struct):
    text: str = "x" * 100


@event("load.normal")
class Normal(msgspec.Struct):
    text: str = "x" * 100


@event("load.high", priority="high")
class High(msgspec.Struct):
    text: str = "x" * 100


class Load:
    """Threads that publish until they are told to stop, and what came of it, by what they call it."""

    def __init__(self, **publish: Publish) -> None:
        self.taken: Counter[str] = Counter()
        self.refused: dict[str, Counter[type[PublishError]]] = {name: Counter() for name in publish}
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=item) for item in publish.items() for _ in range(2)
        ]
        self._lock = threading.Lock()

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(LONG)

    def _run(self, name: str, publish: Publish) -> None:
        while not self._stop.is_set():
            try:
                publish()
            except PublishError as error:
                with self._lock:
                    self.refused[name][type(error)] += 1
                time.sleep(0.001)
            else:
                with self._lock:
                    self.taken[name] += 1
