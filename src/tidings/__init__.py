"""tidings: business events on Apache Kafka, every accepted event delivered or accounted for.

from tidings import Publisher, event
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING

from tidings.errors import (
    BrokersUnavailable,
    BulkheadFull,
    ConfigError,
    ConsumeError,
    DecodeError,
    DeliveryError,
    DocumentError,
    EventTooLarge,
    HandlerError,
    InvalidEvent,
    InvalidTopic,
    PublisherClosed,
    PublisherFailed,
    PublishError,
    QueueFull,
    RateLimited,
    StoreFull,
    StoreUnavailable,
    TidingsError,
)
from tidings.events.correlation import correlation, current_correlation_id
from tidings.events.declare import Registry, event
from tidings.events.envelope import Envelope
from tidings.publishing.batch import Batch
from tidings.publishing.contracts import MessageSender, Sender
from tidings.publishing.entry import Delivery
from tidings.publishing.publisher import Publisher
from tidings.states import CloseReport, Health, HealthStatus, Receipt, State, Stats, Whereabouts

if TYPE_CHECKING:
    from tidings.consuming.consumer import Consumer
    from tidings.consuming.manager import Manager
    from tidings.consuming.message import Message
    from tidings.consuming.repository import EventRepository, KafkaEventRepository
    from tidings.consuming.seen import MemorySeen, Seen, SqliteSeen
    from tidings.consuming.verdicts import Reject, Retry, Stop
    from tidings.events.builder import EventBuilder
    from tidings.events.decoding import decode
    from tidings.events.privacy import Personal, Secret
    from tidings.kafka.dead_letters import DeadLetterTopic
    from tidings.letters.letter import DeadLetter
    from tidings.letters.replay import Replay
    from tidings.observe.health import HealthRegistry
    from tidings.settings import Settings
    from tidings.stopping import close_on_signals, lifespan
    from tidings.usecases.translations import TranslationEvents
    from tidings.usecases.users import UserEvents

__all__ = [
    "Batch",
    "BrokersUnavailable",
    "BulkheadFull",
    "CloseReport",
    "ConfigError",
    "ConsumeError",
    "Consumer",
    "DeadLetter",
    "DeadLetterTopic",
    "DecodeError",
    "Delivery",
    "DeliveryError",
    "DocumentError",
    "Envelope",
    "EventBuilder",
    "EventRepository",
    "EventTooLarge",
    "HandlerError",
    "Health",
    "HealthRegistry",
    "HealthStatus",
    "InvalidEvent",
    "InvalidTopic",
    "KafkaEventRepository",
    "Manager",
    "MemorySeen",
    "Message",
    "MessageSender",
    "Personal",
    "PublishError",
    "Publisher",
    "PublisherClosed",
    "PublisherFailed",
    "QueueFull",
    "RateLimited",
    "Receipt",
    "Registry",
    "Reject",
    "Replay",
    "Retry",
    "Secret",
    "Seen",
    "Sender",
    "Settings",
    "SqliteSeen",
    "State",
    "Stats",
    "Stop",
    "StoreFull",
    "StoreUnavailable",
    "TidingsError",
    "TranslationEvents",
    "UserEvents",
    "Whereabouts",
    "close_on_signals",
    "correlation",
    "current_correlation_id",
    "decode",
    "event",
    "lifespan",
]

logging.getLogger("tidings").addHandler(logging.NullHandler())


_LATER = {
    "Consumer": "tidings.consuming.consumer",
    "HealthRegistry": "tidings.observe.health",
    "MemorySeen": "tidings.consuming.seen",
    "Seen": "tidings.consuming.seen",
    "SqliteSeen": "tidings.consuming.seen",
    "DeadLetter": "tidings.letters.letter",
    "DeadLetterTopic": "tidings.kafka.dead_letters",
    "EventBuilder": "tidings.events.builder",
    "EventRepository": "tidings.consuming.repository",
    "KafkaEventRepository": "tidings.consuming.repository",
    "Manager": "tidings.consuming.manager",
    "Message": "tidings.consuming.message",
    "Personal": "tidings.events.privacy",
    "Reject": "tidings.consuming.verdicts",
    "Replay": "tidings.letters.replay",
    "Retry": "tidings.consuming.verdicts",
    "Secret": "tidings.events.privacy",
    "Settings": "tidings.settings",
    "Stop": "tidings.consuming.verdicts",
    "TranslationEvents": "tidings.usecases.translations",
    "UserEvents": "tidings.usecases.users",
    "close_on_signals": "tidings.stopping",
    "decode": "tidings.events.decoding",
    "lifespan": "tidings.stopping",
}
"""Imported when asked for: pydantic-settings costs 160 ms, confluent_kafka 60, and few need the rest."""


def __getattr__(name: str) -> object:
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
