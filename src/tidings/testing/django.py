"""For Django's TestCase: what a test publishes stays in memory, and what waits for a commit is published."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from tidings.publishing.publisher import Publisher
from tidings.testing.memory import InMemoryTransport
from tidings.web.config import publisher_settings
from tidings.web.django.conf import tidings_setting
from tidings.web.django.holding import use_publisher


class PublishedEvents:
    """A mixin before ``django.test.TestCase``: each test has a publisher of its own, in memory.

        class OrderTests(PublishedEvents, TestCase):
            def test_an_order_is_announced(self):
                with self.committing():
                    self.client.post("/orders/")
                assert self.published("orders")[0]["data"]["order_id"] == "o-1"

    ``kafka`` is the InMemoryTransport (``down()``, ``fail(…)``), ``publisher`` the Publisher on it: made of
    ``TIDINGS`` as it is when the test begins, but enabled, and without a store on disk.
    """

    kafka: InMemoryTransport
    publisher: Publisher

    def run(self, result: Any = None) -> Any:
        """Run the test with that publisher in use."""
        settings = publisher_settings(tidings_setting()) | {"enabled": True, "durability": "memory"}
        self.kafka = InMemoryTransport()
        with Publisher(transport=self.kafka, **settings) as self.publisher, use_publisher(self.publisher):
            return super().run(result)  # type: ignore[misc]

    def published(self, topic: str | None = None) -> list[Any]:
        """The values published so far, decoded, of one topic or of all."""
        return self.kafka.events(topic)

    def committing(self, using: str = "default") -> AbstractContextManager[Any]:
        """A ``with`` at whose end ``publish_on_commit`` publishes: a TestCase itself never commits."""
        held: AbstractContextManager[Any] = self.captureOnCommitCallbacks(using=using, execute=True)  # type: ignore[attr-defined]
        return held
