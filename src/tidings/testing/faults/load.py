"""Load: a program that publishes numbered events at a rate and writes a ledger, and the handle to run it.

``python -m tidings.testing.faults.load --ledger FILE --topic TOPIC …`` with ``KAFKA_*`` in the environment.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

import msgspec

from tidings.testing.faults.clock import shift_clock
from tidings.testing.faults.program import Program
from tidings.testing.faults.publishing import Publishing

_STATS_EVERY = 0.25
_JUDGE_GONE = 3


class Load(Program):
    """The load program as a child process, publishing to ``topic`` from threads and an event loop.

    ``rate`` is events a second in all; ``env`` are ``KAFKA_*`` variables. ``crash`` names a point in the
    program's code at which it kills itself, see ``crash.arm``. The keys of a life are its own.
    """

    def __init__(
        self,
        ledger: Path,
        topic: str,
        env: Mapping[str, str],
        *,
        rate: float = 600.0,
        threads: int = 2,
        loop: bool = True,
        keys: int = 50,
        size: int = 100,
    ) -> None:
        super().__init__([], ledger, env)
        self.topic = topic
        self.rate = rate
        self.crash: str | None = None
        self._options = {"threads": threads, "keys": keys, "size": size, "loop": int(loop)}
        self._life = 0

    def start(self) -> Load:
        """Start it, or start it again with the same settings: one more life."""
        self._life += 1
        options = {**self._options, "life": self._life, "rate": self.rate, "topic": self.topic}
        if self.crash:
            options["crash"] = self.crash
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self.argv = [sys.executable, "-m", __name__, "--ledger", str(self.ledger), *words]
        super().start()
        return self

    def set_rate(self, rate: float) -> None:
        """From now on publish so many events a second."""
        self.rate = rate
        self.say(f"rate {rate}")

    def shift_clock(self, seconds: float) -> None:
        """Set the program's wall clock, as far as Python asks it, so many seconds off the machine's."""
        self.say(f"clock {seconds}")

    def stop(self, timeout: float = 30.0) -> int:
        """Have it end its publishers and close(timeout); its exit status. Raises TimeoutError."""
        self.say(f"stop {timeout}")
        return self.wait(timeout + 30.0)

    def leave(self) -> int:
        """Have it end its publishing threads and return from main without close(); its exit status."""
        self.say("leave")
        return self.wait()

    def drain(self, timeout: float = 120.0) -> None:
        """Publish nothing more, and wait until nothing is stored or in flight. Raises TimeoutError."""
        self.set_rate(0)
        said = len(self.lives[-1].accepted) if self.lives else 0
        self.wait_until(
            lambda life: (
                life.stats is not None
                and life.stats.accepted >= said
                and life.stats.accepted == len(life.accepted)
                and not life.stats.stored
                and not life.stats.in_flight
                and not life.stats.dead_letter_queue_size
            ),
            timeout,
        )


class _Numbers(msgspec.Struct):
    key: str
    number: int


class _Enveloped(msgspec.Struct):
    data: _Numbers


def mark_of(value: bytes | None, headers: Mapping[str, bytes | None]) -> str | None:
    """The ledger's mark of a record of this load; None for any other record. An ``Identify``."""
    try:
        event = msgspec.json.decode(value or b"", type=_Enveloped)
    except msgspec.MsgspecError:
        return None
    return f"{event.data.key}:{event.data.number}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Publish until told to stop: by ``stop [timeout]`` or ``leave`` on standard input, SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m tidings.testing.faults.load", description=__doc__)
    parser.add_argument("--ledger", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--rate", type=float, default=600, help="events a second")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--loop", type=int, default=1, help="also publish from an event loop: 1 or 0")
    parser.add_argument("--keys", type=int, default=50, help="keys of each thread")
    parser.add_argument("--size", type=int, default=100, help="bytes of padding in an event")
    parser.add_argument("--life", type=int, default=1, help="how often it was started; part of each key")
    parser.add_argument("--crash", help="module:function:before|after:n, where it kills itself")
    options = parser.parse_args(arguments)
    publishing = Publishing(options)
    signalled: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        signalled.append(number)

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    publishing.start()
    timeout: float | None = None
    commands = _Commands()
    while not signalled:
        line = commands.next(_STATS_EVERY)
        publishing.report()
        if line is None:
            continue
        what, _, argument = line.partition(" ")
        if what == "stop":
            timeout = float(argument) if argument else None
            break
        if what == "leave":
            publishing.end()
            return 0
        if what == "rate":
            publishing.rate = float(argument)
        elif what == "clock":
            shift_clock(float(argument))
    publishing.stop(timeout)
    return 0


class _Commands:
    """Lines of standard input, read without waiting for the rest of one."""

    def __init__(self) -> None:
        self._rest = b""

    def next(self, timeout: float) -> str | None:
        """The next line, or None; ends the process when whoever started it is gone."""
        if b"\n" not in self._rest and select.select([0], [], [], timeout)[0]:
            read = os.read(0, 4096)
            if not read:
                os._exit(_JUDGE_GONE)
            self._rest += read
        line, end, rest = self._rest.partition(b"\n")
        if not end:
            return None
        self._rest = rest
        return line.decode()


if __name__ == "__main__":
    sys.exit(main())
