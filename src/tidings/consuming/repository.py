"""EventRepository: all that a use case needs of Kafka; and the one that is Kafka."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, runtime_checkable

from tidings.consuming.consumer import Consumer
from tidings.consuming.manager import Manager
from tidings.consuming.states import ManagerReport
from tidings.contexts import Contexts
from tidings.errors import ConfigError
from tidings.events.envelope import Envelope
from tidings.events.keys import Key
from tidings.publishing.entry import Delivery
from tidings.publishing.publisher import Publisher
from tidings.states import Health

if TYPE_CHECKING:
    from tidings.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


@runtime_checkable
class EventRepository(Protocol):
    """Sends messages to topics, and has handlers called with what is there: what use cases depend on."""

    def send_message(self, topic: str, key: Key, value: object) -> Delivery:
        """Send ``value`` to ``topic``: an Envelope as the event it is, bytes as they are, anything else as
        JSON without an envelope. Returns at once. Raises PublishError: nothing was taken."""

    def subscribe(self, topic: str, handler: F) -> F:
        """Have ``handler``, plain or async, called with everything of ``topic``; before the start. The
        annotation of its one parameter says as what. Raises ConfigError."""

    def start_all_consumers(self) -> None:
        """Begin to call the handlers; returns at once. Raises ConfigError."""

    def close(self, timeout: float | None = None) -> object:
        """Finish what handlers have in hand, deliver what was sent, and let go, in bounded time. A second
        call changes nothing."""


class KafkaEventRepository(Contexts):
    """An EventRepository on Kafka: a Publisher, and one consumer of the group GROUP_ID under a Manager.

        with KafkaEventRepository.from_yaml("kafka.yaml") as events:
            events.subscribe("orders", on_order)
            events.start_all_consumers()
            events.send_message("orders", "o-1", {"order_id": "o-1"})

    ``settings``, ``publisher``, ``logger`` and ``overrides`` are those of Manager, which is ``manager``: for
    a lifespan, more consumers, and what else it can. What is delivered, handled, retried or becomes a letter
    is as Publisher and Consumer say. A topic may be a logical name of TOPICS.

    One life. Any thread; handlers are subscribed before the start. Raises ConfigError.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        publisher: Publisher | None = None,
        logger: logging.Logger | None = None,
        **overrides: Any,
    ) -> None:
        self.manager = Manager(settings, publisher=publisher, logger=logger, **overrides)
        self._consumer: Consumer | None = None

    @classmethod
    def from_env(cls, **options: Any) -> Self:
        """A repository configured by ``KAFKA_*`` variables. Raises ConfigError."""
        return cls(**options)

    @classmethod
    def from_yaml(cls, path: str | Path, **options: Any) -> Self:
        """A repository configured by a YAML file (one top-level ``KAFKA:`` map) under the environment."""
        return cls(config_file=path, **options)

    @property
    def publisher(self) -> Publisher:
        """The publisher: ``find``, ``flush``, ``stats`` and what else it can."""
        return self.manager.publisher

    def send_message(self, topic: str, key: Key, value: object) -> Delivery:
        """As EventRepository says; an Envelope without a key gets the one that its class declares."""
        if isinstance(value, Envelope):
            return self.publisher.publish(value, topic=topic, key=key)
        return self.publisher.send_message(topic, key, value)

    def subscribe(self, topic: str, handler: F) -> F:
        """As EventRepository says. Raises ConfigError, naming the function: without an annotation, a topic
        that has a handler already, or after the start; and where there is no GROUP_ID."""
        if self._consumer is None:
            self._consumer = self.manager.consumer()
        return self._consumer.subscribe(topic, handler)

    def start_all_consumers(self) -> None:
        """Begin to call the handlers, on threads; returns at once. Kafka may be away. Raises ConfigError,
        without a subscription or when started before."""
        self._check()
        self.manager.start_all_consumers()

    async def astart_all_consumers(self) -> None:
        """``start_all_consumers`` for a coroutine: async handlers run on this event loop."""
        self._check()
        await self.manager.astart()

    def close(self, timeout: float | None = None) -> ManagerReport:
        """Close consumer and publisher, for up to ``timeout`` seconds (default CLOSE_TIMEOUT) and at most 6 s
        longer: ``Manager.close``."""
        return self.manager.close(timeout)

    async def aclose(self, timeout: float | None = None) -> ManagerReport:
        """``close`` for a coroutine: never blocks the loop."""
        return await self.manager.aclose(timeout)

    def health(self, timeout: float = 5) -> Health:
        """The worst of consumer and publisher: ``Manager.health``."""
        return self.manager.health(timeout)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.manager!r}>"

    def _check(self) -> None:
        if self._consumer is None and not self.manager.consumers:
            raise ConfigError("Nothing is subscribed: call subscribe() before start_all_consumers().")
