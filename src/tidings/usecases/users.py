"""UserEvents: what a service tells others of its users, and hears of theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidings.consuming.repository import EventRepository
from tidings.events.catalogue import UserCreated, UserDeleted, UserUpdated
from tidings.publishing.entry import Delivery
from tidings.usecases.topicevents import TopicEvents


class UserEvents(TopicEvents):
    """The events ``user.created``, ``user.updated`` and ``user.deleted`` of the catalogue, on one topic.

    The topic may be a logical name of TOPICS. The key is the user's id: events of one user keep their order.

        users = UserEvents(KafkaEventRepository.from_yaml("kafka.yaml"))
        users.produce_user_event("user.created", 42, "ada@example.org", {"plan": "free"})

    Any ``repository`` will do. Producing: any thread, and any event loop.
    """

    def __init__(self, repository: EventRepository, topic: str = "user-events") -> None:
        super().__init__(repository, topic, "user_id", (UserCreated, UserUpdated, UserDeleted))

    def produce_user_event(
        self,
        type: str,
        user_id: int | str,
        email: str | None = None,
        data: dict[str, Any] | None = None,
        *,
        correlation_id: str | None = None,
    ) -> Delivery:
        """Send one event in tidings' envelope. ``data``: what else is known, or what changed; what is None is
        left out. ``correlation_id``: default the context's. Returns at once; the Delivery may be waited for,
        awaited or forgotten.

        Raises InvalidEvent, naming the field, for another type or values that the event does not take, and
        else what the repository raises: nothing was sent.
        """
        fields = {"user_id": user_id, "email": email, "data": data}
        return self._produce(type, fields, correlation_id)

    def consume_user_events(self, *handlers: Callable[[Any], Any]) -> None:
        """Have these called with the events, once the repository's consumers are started; all of them plain
        functions, or all async.

        The annotation of a handler's one parameter says what it gets: ``UserCreated`` or
        ``Message[UserCreated]`` the events of that type; ``dict``, ``Message`` or a class of your own those
        of every type that no other is for. What else is on the topic is skipped; an event that cannot be
        read as that class becomes a letter. One call for a repository, before the start. Raises ConfigError.
        """
        self._consume(handlers)
