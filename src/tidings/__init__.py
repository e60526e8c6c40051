"""tidings: business events on Apache Kafka, every accepted event delivered or accounted for.

from tidings import Publisher, event
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from tidings.errors import (
    BrokersUnavailable,
    BulkheadFull,
    ConfigError,
    ConsumeError,
    DecodeError,
    DeliveryError,
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
from tidings.publishing.batch import Batch
from tidings.publishing.contracts import MessageSender, Sender
from tidings.publishing.entry import Delivery
from tidings.publishing.publisher import Publisher
from tidings.states import CloseReport, Health, HealthStatus, Receipt, State, Stats

if TYPE_CHECKING:
    from tidings.settings import Settings

__all__ = [
    "Batch",
    "BrokersUnavailable",
    "BulkheadFull",
    "CloseReport",
    "ConfigError",
    "ConsumeError",
    "DecodeError",
    "Delivery",
    "DeliveryError",
    "EventTooLarge",
    "HandlerError",
    "Health",
    "HealthStatus",
    "InvalidEvent",
    "InvalidTopic",
    "MessageSender",
    "PublishError",
    "Publisher",
    "PublisherClosed",
    "PublisherFailed",
    "QueueFull",
    "RateLimited",
    "Receipt",
    "Registry",
    "Sender",
    "Settings",
    "State",
    "Stats",
    "StoreFull",
    "StoreUnavailable",
    "TidingsError",
    "correlation",
    "current_correlation_id",
    "event",
]

logging.getLogger("tidings").addHandler(logging.NullHandler())


def __getattr__(name: str) -> object:
    """Import Settings when it is asked for: pydantic-settings costs 160 ms."""
    if name == "Settings":
        from tidings.settings import Settings  # noqa: PLC0415

        return Settings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
