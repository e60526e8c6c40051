"""The consumer's engine: its parts, from the start to the end of one life."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from tidings.consuming.dedup import Once
from tidings.consuming.fate import Fate
from tidings.consuming.handlers import Handlers
from tidings.consuming.holdings import Holdings
from tidings.consuming.idling import Idling
from tidings.consuming.letters import Letters
from tidings.consuming.polling import Polling, Runner
from tidings.consuming.reading import Reading
from tidings.consuming.seen import Seen
from tidings.consuming.states import ConsumerReport, ConsumerStats, PartitionStats
from tidings.consuming.tally import Tally
from tidings.consuming.transport import ConsumerTransport
from tidings.publishing.threads import NativeThread
from tidings.publishing.voice import voiced

if TYPE_CHECKING:
    from tidings.settings import Settings

LEAVE = 2.0
"""Seconds for Kafka to answer when the group is left; then it goes on without us."""


class Running(Runner, Protocol):
    """A runner with a life of its own."""

    def start(self) -> None: ...
    def stop(self, timeout: float) -> None: ...
    def hanging(self) -> str: ...
    def is_own_thread(self) -> bool: ...
    def is_in_handler(self) -> bool: ...


MakeRunner = Callable[[Holdings, Reading, Fate], Running]


class Engine:
    """One life of a consumer: starts once, ends once, whoever ends it.

    The end is always the same: the polling thread finishes what handlers have in hand and stores it; then a
    thread of its own, which may be left behind, stops the rest and leaves the group.
    """

    def __init__(
        self,
        settings: Settings,
        group: str,
        topics: Sequence[str],
        handlers: Handlers,
        make_runner: MakeRunner,
        logger: logging.Logger,
        transport: ConsumerTransport | None,
        seen: Seen,
    ) -> None:
        from tidings.kafka.writing import NewRecord  # noqa: PLC0415 - confluent_kafka costs 60 ms to import

        self.failure: BaseException | None = None
        self.reason = ""
        """Why a handler stopped it."""
        self.complaint: tuple[str, bool] | None = None
        """What Kafka said last, and whether something cannot be read because of it."""
        self.tally = Tally()
        logger = voiced(logger, component="kafka", brokers=",".join(settings.brokers), group=group)
        self.is_enabled = settings.enabled
        if not settings.enabled:
            logger.info("KAFKA_ENABLED is false: nothing is consumed.")
            transport = Idling()
        self.transport = _kafka(settings, logger) if transport is None else transport
        self._logger = logger
        self._said: set[str] = set()
        self._topics = topics
        self.holdings = Holdings()
        self.letters = Letters(
            self.holdings,
            self.tally,
            self.transport.letter_writer,
            NewRecord,
            group=group,
            dlq=settings.dlq_topic,
            client_id=settings.client_id,
            logger=logger,
        )
        self.reading = Reading(handlers, settings.unknown_types)
        for route in self.reading.routes:
            if (window := route.handler.dedup) is not None:
                route.remember(Once(seen, group, window, self.tally, self.holdings.lock, logger))
        self.fate = fate = Fate(
            self.holdings,
            self.tally,
            self.letters,
            self._halt,
            self._stumbled,
            logger,
            pauses=settings.on_outage == "pause",
        )
        self.runner = make_runner(self.holdings, self.reading, fate)
        self._client = self.transport.member(group, self._on_word)
        self.polling = Polling(
            self._client,
            topics,
            self.holdings,
            self.runner,
            fate,
            by=uuid.uuid4().hex[:12],
            max_poll_interval=settings.max_poll_interval,
            logger=logger,
            assigned=self._on_assigned,
            came=self._on_records,
            ended=self._on_end,
        )
        self._close_timeout = settings.close_timeout
        self._leaving = NativeThread(self._leave, "tidings-leave")
        self._may_close = [True]
        """Taken by the first who closes: in one step, as a signal handler may interrupt another one."""
        self._is_closing = False
        self._unfinished = 0
        self.left = False
        self.is_closed = False

    def start(self) -> None:
        """Start every thread. Raises RuntimeError when none can be made."""
        self.runner.start()
        self.polling.start()

    def stop(self, timeout: float | None = None) -> None:
        """Begin the end; returns at once. Only the first call counts."""
        try:
            self._may_close.pop()
        except IndexError:
            return
        self._is_closing = True
        self.polling.stop(self._close_timeout if timeout is None else timeout)

    def join(self, timeout: float | None) -> bool:
        """Wait for the end, for up to ``timeout`` seconds (None: for ever); True if it came."""
        end = None if timeout is None else time.monotonic() + timeout
        if not self.polling.join(timeout):
            return False
        while not self._leaving.has_begun:  # for a moment: the polling thread starts it when it ends
            time.sleep(0.001)
        return self._leaving.join(None if end is None else max(0.0, end - time.monotonic()))

    def is_own_thread(self) -> bool:
        """True where waiting for the end would wait for oneself: in a handler."""
        return self.runner.is_own_thread() or self.polling.is_own_thread() or self._leaving.is_current

    def is_in_handler(self) -> bool:
        """The same for a coroutine."""
        return self.runner.is_in_handler()

    @property
    def is_closing(self) -> bool:
        """True once the end has begun."""
        return self._is_closing

    def stats(self) -> ConsumerStats:
        """The counters and the partitions at this moment."""
        ends = self.polling.ends
        with self.holdings.lock:
            partitions = {
                name: PartitionStats(
                    position=tenure.watermark.position,
                    end=end if (end := ends.get(name, -1)) >= 0 else None,
                    held=tenure.watermark.count,
                    is_paused=tenure.is_paused,
                )
                for name, tenure in self.holdings.tenures.items()
            }
        return ConsumerStats(
            **self._counts(),
            letters_waiting=self.letters.waiting,
            partitions=partitions,
            is_running=not self._is_closing,
            is_closed=self.is_closed,
        )

    def report(self, duration: float) -> ConsumerReport:
        """How it ended, or stands."""
        unfinished = self._unfinished if self._leaving.has_begun else self._held()
        return ConsumerReport(**self._counts(), unfinished=unfinished, left=self.left, duration=duration)

    def _held(self) -> int:
        with self.holdings.lock:
            return sum(tenure.watermark.count for tenure in self.holdings.tenures.values())

    def _counts(self) -> dict[str, int]:
        return {name: getattr(self.tally, name) for name in Tally.__slots__}

    # -- told by the parts

    def _halt(self, reason: str) -> None:
        self.reason = self.reason or reason
        self.stop()

    def _stumbled(self, error: BaseException) -> None:
        self._logger.critical(
            "A worker of the consumer failed, which it never should; the consumer stops. What is not "
            "finished is read again.",
            exc_info=error,
        )
        self.failure = self.failure or error
        self.stop()

    def _on_word(self, words: str, is_blocking: bool) -> None:
        """What Kafka says beside records: each thing once, until records come again."""
        self.complaint = (words, is_blocking)
        name = words.partition(":")[0]
        if name not in self._said and len(self._said) < 100:
            self._said.add(name)
            self._logger.warning(f"Kafka: {words}")

    def _on_assigned(self) -> None:
        self.complaint = None

    def _on_records(self, topics: set[str]) -> None:
        """Records of these topics come: what was said of them, or of no topic, is over."""
        if self.complaint is None:
            return
        words, _ = self.complaint
        if any(it in words for it in topics) or not any(it in words for it in self._topics):
            self.complaint = None
            self._said.clear()

    def _on_end(self, error: BaseException | None) -> None:
        self.failure = self.failure or error
        self._unfinished = self._held()
        self._is_closing = True
        self._leaving.start()

    def _leave(self) -> None:
        self.runner.stop(1.0)
        self.letters.stop(1.0)
        self.fate.failing.flush()
        try:
            self._client.close()
            self.left = True
        except Exception as error:
            self._logger.warning(f"The group was not left in order: {error!r}")
        self.is_closed = True


def _kafka(settings: Settings, logger: logging.Logger) -> ConsumerTransport:
    from tidings.kafka.consumer_transport import KafkaConsumerTransport  # noqa: PLC0415 - as above

    return KafkaConsumerTransport(settings, logger)
