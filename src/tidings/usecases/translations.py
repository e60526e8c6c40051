"""TranslationEvents: texts that are to be translated, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidings.consuming.repository import EventRepository
from tidings.events.catalogue import TranslationCompleted, TranslationFailed, TranslationRequested
from tidings.publishing.entry import Delivery
from tidings.usecases.topicevents import TopicEvents


class TranslationEvents(TopicEvents):
    """The events ``translation.requested``, ``translation.completed`` and ``translation.failed`` of the
    catalogue, on one topic.

    The topic may be a logical name of TOPICS. The key is the translation's id. Any ``repository`` will do.
    Producing: any thread, and any event loop. What is produced in a handler carries the correlation id of the
    event that is handled, and is delivered before that is finished.
    """

    def __init__(self, repository: EventRepository, topic: str = "translation-events") -> None:
        classes = (TranslationRequested, TranslationCompleted, TranslationFailed)
        super().__init__(repository, topic, "translation_id", classes)

    def produce_translation_event(
        self,
        type: str,
        translation_id: str,
        *,
        source_language: str | None = None,
        target_language: str | None = None,
        source_text: str | None = None,
        translated_text: str | None = None,
        error_message: str | None = None,
        error_code: str | None = None,
        correlation_id: str | None = None,
    ) -> Delivery:
        """Send one event in tidings' envelope; what is None is left out. Languages are BCP 47 tags.

        ``translation.requested`` needs both languages and ``source_text``, ``translation.completed`` the
        ``translated_text``. Otherwise as ``UserEvents.produce_user_event``. Raises InvalidEvent.
        """
        fields = {
            "translation_id": translation_id,
            "source_language": source_language,
            "target_language": target_language,
            "source_text": source_text,
            "translated_text": translated_text,
            "error_message": error_message,
            "error_code": error_code,
        }
        return self._produce(type, fields, correlation_id)

    def consume_translation_events(self, *handlers: Callable[[Any], Any]) -> None:
        """Have these called with the events: as ``UserEvents.consume_user_events``. Raises ConfigError."""
        self._consume(handlers)
