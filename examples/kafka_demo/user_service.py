"""The user service: shows what happens to users, and has each new one greeted in their own language."""

from __future__ import annotations

import logging
from typing import Any

from examples.kafka_demo.showing import show
from examples.kafka_demo.wiring import repository_for
from examples.users_demo.leash import end_with_parent
from tidings import Message, TranslationEvents, UserEvents
from tidings.events.catalogue import TranslationCompleted, TranslationFailed, UserCreated

repository = repository_for("users")
users = UserEvents(repository)
translations = TranslationEvents(repository)


def on_created(message: Message[UserCreated]) -> None:
    """Ask for a greeting. Kafka has the request before this event counts as handled."""
    user = message.data
    about: dict[str, Any] = user.data or {}
    show(message, f"{user.user_id}: {about['name']}")
    translations.produce_translation_event(
        "translation.requested",
        f"welcome-{user.user_id}",
        source_language="en",
        target_language=about["language"],
        source_text=f"Welcome, {about['name']}!",
    )


def on_change(message: Message) -> None:  # type: ignore[type-arg]
    """``user.updated`` and ``user.deleted``, as JSON has them."""
    show(message, f"{message.data['user_id']}: {message.data.get('data', 'gone')}")


def on_completed(message: Message[TranslationCompleted]) -> None:
    """Here it is."""
    show(message, f"{message.data.translation_id}: {message.data.translated_text}")


def on_failed(message: Message[TranslationFailed]) -> None:
    """They are greeted in English, then."""
    show(message, f"{message.data.translation_id}: {message.data.error_message}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    users.consume_user_events(on_created, on_change)
    translations.consume_translation_events(on_completed, on_failed)
    end_with_parent()
    repository.manager.run()
