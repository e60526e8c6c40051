"""The services' processes: started, listened to, and ended for certain."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import IO, Self

GRACE = 20.0
"""Seconds for a service to end: it finishes, commits, leaves and delivers, by CLOSE_TIMEOUT and 6 s."""


class ServiceFailed(Exception):
    """A service ended when it should not have, or with an error."""


class Service:
    """A module of this package in a process of its own. It ends with the demo, however that ends."""

    def __init__(self, name: str, module: str, say: Callable[[str], None]) -> None:
        self.shown: Counter[str] = Counter()
        """The ids of the events that it showed."""
        self._name = name
        self._say = say
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"examples.kafka_demo.{module}"],
            stdin=subprocess.PIPE,  # its end tells the service that the demo is gone: leash.py
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the demo, which ends the services in order
        )
        self._listeners = [
            threading.Thread(target=self._listen, args=(pipe,), daemon=True)
            for pipe in (self._process.stdout, self._process.stderr)
        ]
        for listener in self._listeners:
            listener.start()

    def check(self) -> None:
        """Raises ServiceFailed unless it runs."""
        if (status := self._process.poll()) is not None:
            raise ServiceFailed(f"the {self._name} service ended with status {status}")

    def end(self) -> None:
        """Ask it to end in order. Raises ServiceFailed unless it does."""
        self.check()
        self._process.terminate()
        if status := self._wait():
            raise ServiceFailed(f"the {self._name} service ended with status {status}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        self._wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _wait(self) -> int:
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._say(f"{self._name} | does not end, and is killed")
            self._process.kill()
            self._process.wait()
        for listener in self._listeners:
            listener.join(GRACE)
        return self._process.returncode

    def _listen(self, pipe: IO[str]) -> None:
        for line in pipe:
            event_id, tab, text = line.rstrip().partition("\t")
            if tab:
                self.shown[event_id] += 1
            self._say(f"{self._name:>12} | {text if tab else event_id}")
