"""An EventRepository in memory, for unit tests of use cases: no Kafka, and the same checks."""

from __future__ import annotations

import time
from itertools import product
from typing import Any

from tidings.consuming.repository import KafkaEventRepository
from tidings.errors import ConsumeError
from tidings.testing.memory import InMemoryTransport

_NAP = 0.002


class InMemoryEventRepository(KafkaEventRepository):
    """What is sent to a topic reaches its subscribers, in this process: by the real Publisher and Consumer on
    an InMemoryTransport, so that it refuses what they refuse, and retries and writes letters as they do.

        events = InMemoryEventRepository()
        users = UserEvents(events)
        users.consume_user_events(on_user)
        events.start_all_consumers()
        users.produce_user_event("user.created", 1)
        events.wait_until_idle()

    ``transport`` has the records, ``down()``, ``fail()`` and the like; repositories with the same one are
    services of one Kafka, and share the work where their ``group_id`` is the same. ``overrides`` are
    settings. Retries pause for a millisecond at most, unless RETRY_BACKOFF says otherwise. Close it.
    """

    def __init__(
        self, transport: InMemoryTransport | None = None, *, group_id: str = "in-memory", **overrides: Any
    ) -> None:
        self.transport = InMemoryTransport() if transport is None else transport
        options = {"retry_backoff": 0.001, "retry_backoff_max": 0.001, **overrides}
        super().__init__(transport=self.transport, group_id=group_id, **options)

    def sent(self, topic: str | None = None) -> list[Any]:
        """The values that were sent, decoded from JSON, of one topic or of all; in order for each key."""
        return self.transport.events(topic)

    def wait_until_idle(self, timeout: float = 10) -> None:
        """Return when everything that was sent is handled, with all that followed from it: handlers that send
        more included, and letters. Blocks; in a coroutine use ``await_until_idle``.

        Raises TimeoutError after ``timeout`` seconds, with what is unfinished, and ConsumeError where
        handlers are subscribed and not started.
        """
        end = time.monotonic() + timeout
        while unfinished := self._unfinished():
            if time.monotonic() >= end:
                raise TimeoutError(f"After {timeout} s there is still unfinished: {unfinished}.")
            time.sleep(_NAP)

    async def await_until_idle(self, timeout: float = 10) -> None:
        """``wait_until_idle`` for a coroutine: never blocks the loop."""
        import asyncio  # noqa: PLC0415

        await asyncio.to_thread(self.wait_until_idle, timeout)

    def _unfinished(self) -> str:
        """What is not done. What handlers send is delivered before their offsets are committed: nothing
        slips through between the two looks."""
        if in_flight := self.publisher.stats().in_flight:
            return f"{in_flight} messages that are not delivered"
        if self._consumer is None:
            return ""
        if self._consumer._engine is None:
            raise ConsumeError("Handlers are subscribed, and start_all_consumers() was not called.")
        kafka, topics = self.transport._shared, self._consumer._handlers.by_topic
        with kafka.lock:
            committed = kafka.groups[self._consumer.group_id].committed
            behind = [
                f"{topic}[{partition}]"
                for topic, partition in product(topics, range(self.transport.partitions))
                if kafka.end((topic, partition)) > committed.get((topic, partition), (0, ""))[0]
            ]
            kafka.ring()  # a consumer that waits for records commits when it wakes
        return ", ".join(behind)
