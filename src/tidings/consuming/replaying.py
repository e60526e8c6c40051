"""Letters straight to the handlers, for a Replay: in this process, in order by key, apart from the group."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from tidings.consuming.calling import Caller, StillRunning
from tidings.consuming.fate import REJECTED, UNDECODABLE, reason_of, why_unread
from tidings.consuming.handlers import Handlers
from tidings.consuming.hangs import NO_STOP
from tidings.consuming.message import Pair, place_of
from tidings.consuming.reading import Reading, Route
from tidings.consuming.retries import Again, Halt
from tidings.consuming.verdicts import Reject
from tidings.errors import ConfigError
from tidings.letters.letter import DeadLetter
from tidings.letters.replay_parts import Outcome
from tidings.publishing.entry import Delivery
from tidings.publishing.outputs import are_open, losses
from tidings.publishing.threads import NativeThread
from tidings.settings import Settings

_MOST: Final = 16
"""Letters in work at the same time, at most: what a run that is killed repeats."""
_BEGUN_WITHIN: Final = 240.0
"""Seconds after which nothing more of a batch is begun: others get the partitions of who is away for 600."""
_NAP: Final = 0.01

LaneName = tuple[str, int, bytes] | str


class LetterRecord:
    """The record that a letter is about (see ``message.Record``)."""

    def __init__(self, letter: DeadLetter) -> None:
        self._letter = letter
        self._value = letter.value

    def topic(self) -> str:
        return self._letter.topic

    def partition(self) -> int:
        return -1 if self._letter.partition is None else self._letter.partition

    def offset(self) -> int:
        return -1 if self._letter.offset is None else self._letter.offset

    def key(self) -> bytes | None:
        return self._letter.key

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> list[Pair] | None:
        return self._letter.record_headers

    def timestamp(self) -> tuple[int, int]:
        ms = self._letter.record_timestamp
        return (0, -1) if ms is None else (1, ms)

    def __len__(self) -> int:
        return len(self._value or b"")


class Replaying:
    """A consumer's handlers at work for one run of a replay. One thread calls it; each key has one.

    ``loop`` is where async handlers run; None: on a loop of its own.
    """

    def __init__(self, handlers: Handlers, settings: Settings, logger: logging.Logger, loop: Any) -> None:
        if not handlers.all:
            raise ConfigError("This consumer has no handler that letters could be given to: register them.")
        self.most = min(settings.workers, _MOST)
        self._reading = Reading(handlers, settings.unknown_types)
        self._logger = logger
        needs_loop = any(handler.is_async for handler in handlers.all)
        self._caller = Caller(loop, needs_loop=needs_loop)
        self._stuck: set[LaneName] = set()
        """Keys of which a handler still has an event, and may have it for ever."""

    def close(self) -> None:
        """The run is over: end the loop, if it is our own."""
        self._caller.close()

    def handle(
        self, letters: Sequence[DeadLetter], patience: float, stopping: threading.Event
    ) -> list[Outcome]:
        """Have these handled, at most ``most``; returns when the last has ended."""
        lanes: dict[LaneName, list[int]] = {}
        for number, letter in enumerate(letters):
            lanes.setdefault(_lane(letter), []).append(number)
        outcomes = [Outcome("stopped", reason="The thread that had it died.")] * len(letters)
        until = time.monotonic() + _BEGUN_WITHIN

        def work(name: LaneName, numbers: list[int]) -> None:
            for number in numbers:
                outcomes[number] = self._one(name, letters[number], patience, until, stopping)

        threads = [NativeThread(partial(work, *lane), "tidings-replay") for lane in lanes.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(None)  # each letter has its bounds
        return outcomes

    def _one(
        self, name: LaneName, letter: DeadLetter, patience: float, until: float, stopping: threading.Event
    ) -> Outcome:
        if stopping.is_set():
            return Outcome("not_begun", reason="it was told to.")
        if time.monotonic() > until:
            words = f"The handlers took longer than {_BEGUN_WITHIN:.0f} s for {self.most} letters at most."
            return Outcome("not_begun", reason=words)
        if name in self._stuck:
            return Outcome("failed", reason="it was not begun: a handler still runs with an event of its key")
        record, end, attempt = LetterRecord(letter), time.monotonic() + patience, 1
        while True:
            outcome, pause = self._attempt(name, record, attempt, end)
            if pause is None:
                return outcome
            if time.monotonic() + pause > end or stopping.wait(pause):
                return outcome
            attempt += 1

    def _attempt(
        self, name: LaneName, record: LetterRecord, attempt: int, end: float
    ) -> tuple[Outcome, float | None]:
        """One call: how it ended, and the pause before the next; None where there is none."""
        route = argument = None
        try:
            if (call := self._reading.read(record, attempt)) is None:
                return Outcome("failed", reason="this consumer has no handler for it"), None
            route, argument, correlation_id = call
            outputs = self._caller.call(route.handler, argument, correlation_id)
        except StillRunning as error:
            self._stuck.add(name)
            words = f"{error} {NO_STOP}"
            self._logger.error(words)
            return Outcome("stopped" if len(self._stuck) >= self.most else "failed", attempt, words), None
        except BaseException as error:
            return self._failed(route, argument, record, attempt, error)
        return _delivered(outputs, attempt, end), None

    def _failed(
        self, route: Route | None, argument: Any, record: LetterRecord, attempt: int, error: BaseException
    ) -> tuple[Outcome, float | None]:
        if route is None:
            return Outcome("failed", attempt, why_unread(error), UNDECODABLE), None
        decision = route.handler.policy.decide(error, attempt, random.random)
        words = f"{route.handler.name}: {reason_of(error, argument)}"
        self._logger.warning(f"{words}, with the letter of {place_of(record)}, attempt {attempt}")
        if isinstance(error, Reject):
            return Outcome("rejected", attempt, words, REJECTED), None
        if isinstance(decision, Halt):
            return Outcome("stopped", attempt, words), None
        return Outcome("failed", attempt, words), decision.after if isinstance(decision, Again) else None


def _delivered(outputs: Sequence[Delivery], attempt: int, end: float) -> Outcome:
    """The handler has returned: wait until Kafka has what it published."""
    while are_open(outputs) and time.monotonic() < end:
        time.sleep(_NAP)
    words = "what its handler published is not in Kafka yet" if are_open(outputs) else losses(outputs)
    return Outcome("failed", attempt, words) if words else Outcome("handled", attempt)


def _lane(letter: DeadLetter) -> LaneName:
    """Letters of one lane are handled in order: those of one key. Without a key there is no order."""
    if letter.key is None:
        return letter.letter_id
    return (letter.topic, -1 if letter.partition is None else letter.partition, letter.key)
