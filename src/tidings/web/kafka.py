"""Where entries go in Kafka: senders for the topics of audit, auth and usage, from one publisher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidings.errors import PublishError
from tidings.events.keys import Key
from tidings.publishing.contracts import Sender
from tidings.publishing.entry import Delivery

if TYPE_CHECKING:
    from tidings.publishing.publisher import Publisher


class EntrySender:
    """Sends entries to one topic under their own ids, so that ``publisher.find(entry.id)`` finds them.

    Unlike ``publisher.sender(topic)`` it never waits for room, in threads either: a request must not.
    """

    def __init__(self, publisher: Publisher, topic: str) -> None:
        self._publisher = publisher
        self._topic = topic

    def send(self, key: Key, value: object) -> Delivery:
        """Send ``value`` as JSON; its event_id is ``key``.

        Raises as ``Publisher.publish_json`` does, with ON_REJECT=log too: an entry that is too large has a
        second, smaller form, and one that was not taken is counted.
        """
        event_id = key if isinstance(key, str) else None
        delivery = self._publisher.publish_json(self._topic, value, key=key, event_id=event_id, max_block=0)
        if isinstance(refusal := delivery.error, PublishError):
            raise refusal
        return delivery

    def close(self) -> None:
        """Nothing to let go of: the publisher belongs to whoever made it."""


def audit_sender(publisher: Publisher) -> Sender:
    """Sends to AUDIT_TOPIC, or where TOPIC_MAP sends ``audit.recorded``."""
    return EntrySender(publisher, publisher.topic_for("audit.recorded"))


def auth_sender(publisher: Publisher) -> Sender:
    """Sends to AUTH_TOPIC, or where TOPIC_MAP sends ``auth.recorded``."""
    return EntrySender(publisher, publisher.topic_for("auth.recorded"))


def usage_sender(publisher: Publisher) -> Sender:
    """Sends to USAGE_TOPIC, or where TOPIC_MAP sends ``usage.recorded``."""
    return EntrySender(publisher, publisher.topic_for("usage.recorded"))
