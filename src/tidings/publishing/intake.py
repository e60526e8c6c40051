"""The intake: what stands between a user's call and the engine, and what a publisher is made of."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidings.errors import ConfigError, EventTooLarge, InvalidEvent, PublishError
from tidings.events.correlation import current_correlation_id
from tidings.events.declare import Priority, Registry, default_registry
from tidings.events.envelope import Envelope
from tidings.events.frame import Frame, text
from tidings.events.headers import ENVELOPED, Headers, Pair, headers_size
from tidings.events.ids import Stamper
from tidings.events.keys import Key, encode_key
from tidings.events.routing import Router, topics_by_setting
from tidings.events.times import envelope_time, record_time
from tidings.publishing.accepting import Accept
from tidings.publishing.closing import Closer
from tidings.publishing.discarding import DiscardingEngine, no_transport
from tidings.publishing.engine import Engine
from tidings.publishing.entry import Delivery, Refused
from tidings.publishing.hotpath import Publish, hot_path
from tidings.publishing.plans import Plan, Plans
from tidings.publishing.transport import Transport
from tidings.signals import Rejected
from tidings.states import State

if TYPE_CHECKING:
    from tidings.letters.replay_store import StoredLetters
    from tidings.settings import Settings

_MOST_PLANS = 10_000
Drafted = tuple[str, bytes, bytes | None, list[Pair], bytes]
"""A record before it is taken: topic, value, key, headers and id."""


class Intake:
    """The inside of a Publisher: its engine, which a forked child replaces, and how events get to it."""

    def __init__(
        self,
        settings: Settings,
        transport: Transport | None,
        logger: logging.Logger,
        registry: Registry = default_registry,
    ) -> None:
        self._settings = settings
        self._logger = logger
        self._router = Router(
            settings.topic, settings.topic_map, settings.topics, topics_by_setting(settings)
        )
        self._plans = Plans(self._router, registry, settings.service, settings.version, settings.envelope)
        self._max_bytes = settings.max_event_bytes
        self._transport = transport
        self._make_transport = self._transport_maker(transport)
        in_memory = transport is not None and "durability" not in settings.model_fields_set
        self._directory = None if in_memory or not settings.enabled else _store_directory(settings, logger)
        self._around: Callable[[Accept], Accept] | None = None
        self._start_afresh()

    def before_fork(self) -> Callable[[], None]:
        """Have the engine stand still while this process forks."""
        return self._engine.before_fork()

    def after_fork(self) -> object:
        """In a forked child: start afresh, and let the parent's engine be."""
        inherited = self._engine
        inherited.waking.inherited = True
        self._closer.forget_exit()
        self._router.after_fork()
        self._start_afresh()
        if inherited.closed:  # what was closed stays closed
            self._engine.shut()
        return inherited

    def _start_afresh(self) -> None:
        if self._settings.enabled:
            self._engine = Engine(self._connect, self._settings, self._directory, self._logger)
        else:
            self._engine = DiscardingEngine(self._settings, self._logger)
        self._doors = self._engine.guards.doors
        self._closer = Closer(self._engine, self._settings.close_timeout)
        self._stamp = Stamper(self._engine.tick)
        self._instrument(self._around)

    def _instrument(self, around: Callable[[Accept], Accept] | None) -> None:
        """Have every event go through ``around(accept)``, in this process and its children; None: no more.

        The hot path has no place for it, and is left alone: events go the general way meanwhile.
        """
        self._around = around
        self._accept = self._engine.accept if around is None else around(self._engine.accept)
        self._forget_plans()

    def _forget_plans(self) -> None:
        self._made: dict[tuple[type, str | None], Plan] = {}
        self._hot: dict[type, Publish] = {}

    def _connect(self) -> Transport:
        self._closer.watch_exit()
        return self._make_transport()

    def _transport_maker(self, given: Transport | None) -> Callable[[], Transport]:
        """How the engine gets its transport; imported here and now, so that the first event need not wait."""
        if given is not None:
            return lambda: given
        if not self._settings.enabled:
            return no_transport
        from tidings.kafka.client import KafkaClient  # noqa: PLC0415 - confluent_kafka costs 60 ms to import

        return lambda: KafkaClient(self._settings, self._logger)

    def _plan(self, cls: type, event_type: str | None) -> Plan:
        if event_type is not None and not isinstance(event_type, str):
            raise InvalidEvent(f"event_type is a {type(event_type).__qualname__}; it is a str")
        made, hot = self._made, self._hot  # a mapping that is set meanwhile replaces both
        if plan := made.get((cls, event_type)):
            return plan
        if len(made) >= _MOST_PLANS:  # somebody makes up event types: remembering them all would be a leak
            made.clear()
        plan = made[cls, event_type] = self._plans.make(cls, event_type)
        is_plain = self._settings.enabled and self._around is None
        if event_type is None and is_plain and isinstance(plan.frame, Frame):
            hot[cls] = hot_path(
                plan, plan.frame, self._engine, self._stamp, self._max_bytes, self._check_size, self._refused
            )
        return plan

    def _publish_with(
        self,
        event: object,
        event_type: str | None = None,
        topic: str | None = None,
        key: Key = None,
        headers: Headers | None = None,
        correlation_id: str | None = None,
        event_id: str | None = None,
        timestamp: datetime | int | None = None,
        max_block: float | None = None,
    ) -> Delivery:
        """The general way of publishing: every option, and what is None in an envelope filled in."""
        record, priority = self._draft(
            event, event_type, topic, key, headers, correlation_id, event_id, timestamp
        )
        return self._accept(*record, -1, 0, max_block, self._doors[priority])

    def _draft(
        self,
        event: object,
        event_type: str | None,
        topic: str | None,
        key: Key,
        headers: Headers | None,
        correlation_id: str | None,
        event_id: str | None,
        timestamp: datetime | int | None,
    ) -> tuple[Drafted, Priority]:
        """The record of an event, and its priority. Takes nothing; raises PublishError."""
        envelope = event if isinstance(event, Envelope) else Envelope(data=event)
        envelope = envelope.but(event_type, event_id, correlation_id)
        plan = self._plan(envelope.data.__class__, envelope.event_type)
        return self._record(plan, envelope, topic, key, headers, timestamp), plan.priority

    def _record(
        self,
        plan: Plan,
        envelope: Envelope[Any],
        topic: str | None,
        key: Key,
        headers: Headers | None,
        timestamp: datetime | int | None,
    ) -> Drafted:
        payload = envelope.data
        data = plan.encoder.encode(payload)
        id_bytes, time_text = self._stamp()
        moment = envelope.timestamp if timestamp is None else timestamp
        if moment is not None:
            time_text = envelope_time(moment)
        correlation_id = envelope.correlation_id
        if correlation_id is None:
            correlation_id = current_correlation_id()
        quoted = None
        if envelope.event_id is not None:
            quoted, id_bytes = text(envelope.event_id, "event_id")
        frame = self._plans.frame_of(envelope, plan)
        value, pairs = frame.around(data, id_bytes, time_text, correlation_id, quoted, envelope.extra())
        if headers is not None:
            pairs += ENVELOPED.pairs(headers)
        record_key = plan.key(payload) if key is None else encode_key(key)
        self._check_size(value, record_key, pairs)
        target = plan.topic if topic is None else self._router.resolve(topic)
        return target, value, record_key, pairs, id_bytes

    def _take(
        self,
        topic: str,
        value: bytes | None,
        key: Key,
        pairs: list[Pair],
        event_id: str | None,
        partition: int | None = None,
        timestamp: datetime | int | None = None,
        max_block: float | None = None,
    ) -> Delivery:
        target = self._router.resolve(topic)
        record_key = encode_key(key)
        id_bytes = self._stamp()[0] if event_id is None else text(event_id, "event_id")[1]
        pairs.append(("event_id", id_bytes))
        self._check_size(value, record_key, pairs)
        if partition is not None and not (type(partition) is int and 0 <= partition < 2**31):
            raise InvalidEvent("partition is not a number from 0 to 2147483647")
        when = 0 if timestamp is None else record_time(timestamp)
        at = -1 if partition is None else partition
        return self._accept(target, value, record_key, pairs, id_bytes, at, when, max_block)

    def _replay(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: list[Pair],
        event_id: str | None,
        partition: int | None = None,
    ) -> Delivery:
        """Take the event of a letter, as it is, counted as ``replayed``: for ``Replay``."""
        self._check_size(value, key, headers)
        name = self._stamp()[0] if event_id is None else event_id.encode()
        target, at = self._router.resolve(topic), -1 if partition is None else partition
        engine = self._engine
        engine.ledger.replay(1)
        try:
            return self._accept(target, value, key, headers, name, at)
        except PublishError:
            engine.ledger.replay(-1)
            raise

    def _stored_letters(self, *, parked: bool) -> StoredLetters:
        from tidings.letters.replay_store import StoredLetters  # noqa: PLC0415
        from tidings.publishing.letterbox import Letterbox  # noqa: PLC0415

        if not self._engine.stores:
            raise ConfigError("DURABILITY: this publisher has no store, and so no letters in it.")
        self._engine.start()
        topic = f"{self._settings.dlq_topic.replace('{topic}', 'store')}.replays"

        def note(content: bytes, key: bytes) -> None:
            self._take(topic, content, key or None, [], None).wait_safe(self._settings.delivery_timeout)

        box = Letterbox(self._engine.keeper, note, parked=parked)
        return StoredLetters(box, box.topics)

    def _check_size(self, value: bytes | None, key: bytes | None, pairs: list[Pair]) -> None:
        size = len(value or b"") + len(key or b"") + headers_size(pairs)
        if size > self._max_bytes:
            raise EventTooLarge(
                f"Key, value and headers are {size} bytes, MAX_EVENT_BYTES is {self._max_bytes}."
            )

    def _refused(
        self,
        error: PublishError,
        topic: str | None = None,
        event_id: str | None = None,
        correlation_id: str | None = None,
    ) -> Delivery:
        self._engine.ledger.reject(error)
        self._engine.signals.send(
            Rejected(error.code, str(error.args[0] if error.args else ""), _name(event_id), _name(topic))
        )
        if self._settings.on_reject == "raise":
            raise error
        name, where = _shown(event_id), _shown(topic)
        who = " ".join(f"{of}={it}" for of, it in (("event_id", name), ("topic", where)) if it is not None)
        self._engine.storms.rejected.record(
            f"{who}: {error}" if who else str(error),
            event_id=name,
            topic=where,
            correlation_id=_shown(current_correlation_id() if correlation_id is None else correlation_id),
            error=type(error).__qualname__,
            code=error.code,
        )
        return self._rejected_delivery(error, topic, event_id)

    def _rejected_delivery(self, error: PublishError, topic: str | None, event_id: str | None) -> Delivery:
        name = event_id.encode(errors="replace") if isinstance(event_id, str) else b""
        entry = Delivery(self._engine, topic if isinstance(topic, str) else "", None, None, None, name)
        entry.handed = entry.ended = True
        entry._failure = Refused(type(error), error.args[0] if error.args else "")
        entry.state = State.REJECTED
        return entry


def _store_directory(settings: Settings, logger: logging.Logger) -> Path | None:
    from tidings.publishing.storeplace import store_directory  # noqa: PLC0415 - filelock costs 10 ms to import

    return store_directory(settings, logger)


def _name(given: object) -> str | None:
    return given if isinstance(given, str) else None


def _shown(name: object) -> str | None:
    """A name that was perhaps what is wrong, on one line of a log. None where none was given."""
    if name is None:
        return None
    return name if isinstance(name, str) and name.isprintable() and len(name) < 250 else repr(name)[:250]


def as_bytes(value: object) -> bytes:
    """Bytes of any kind as ``bytes``. Raises InvalidEvent."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise InvalidEvent(
        f"produce() sends bytes as they are, not a {type(value).__qualname__}: see publish_json"
    )
