"""The small contracts that other layers depend on, in place of a Publisher."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from tidings.events.keys import Key
from tidings.publishing.entry import Delivery


@runtime_checkable
class Sender(Protocol):
    """Sends values to one place, chosen when it was made. Safe from any thread."""

    def send(self, key: Key, value: object) -> Delivery | None:
        """Send ``value``: bytes as they are, anything else as JSON. Returns its Delivery, if any."""

    def close(self) -> None:
        """Let go of the sender; never closes what it was made from."""


@runtime_checkable
class MessageSender(Protocol):
    """Sends values to any topic. A Publisher is one."""

    def send_message(self, topic: str | None, key: Key, value: object) -> Delivery:
        """Send ``value`` to ``topic`` (None: the default topic)."""


class TopicSender:
    """A Sender that sends to one topic through a publisher."""

    def __init__(self, publisher: MessageSender, topic: str | None) -> None:
        self._publisher = publisher
        self._topic = topic

    def send(self, key: Key, value: object) -> Delivery:
        """Send ``value`` to the topic; raises as ``Publisher.send_message`` does."""
        return self._publisher.send_message(self._topic, key, value)

    def close(self) -> None:
        """Nothing to let go of: the publisher belongs to whoever made it."""
