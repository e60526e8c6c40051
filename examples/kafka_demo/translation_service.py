"""The translation service, async: for each request a translation, or the reason why there is none."""

from __future__ import annotations

import asyncio
import logging

from examples.kafka_demo.showing import show
from examples.kafka_demo.wiring import repository_for
from examples.users_demo.leash import end_with_parent
from tidings import Message, TranslationEvents
from tidings.events.catalogue import TranslationRequested

WELCOME = {"de": "Willkommen", "es": "Te damos la bienvenida", "fr": "Bienvenue"}

repository = repository_for("translations")
translations = TranslationEvents(repository)


async def on_requested(message: Message[TranslationRequested]) -> None:
    """The answer carries the correlation id of the request: it is in force while this runs."""
    asked = message.data
    show(message, f"{asked.translation_id}: {asked.source_text!r} into {asked.target_language}")
    await asyncio.sleep(0.01)  # what a translation takes
    if asked.target_language in WELCOME:
        translations.produce_translation_event(
            "translation.completed",
            asked.translation_id,
            target_language=asked.target_language,
            translated_text=asked.source_text.replace("Welcome", WELCOME[asked.target_language]),
        )
    else:
        translations.produce_translation_event(
            "translation.failed",
            asked.translation_id,
            target_language=asked.target_language,
            error_message=f"nobody here speaks {asked.target_language!r}",
            error_code="UNKNOWN_LANGUAGE",
        )


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    translations.consume_translation_events(on_requested)
    end_with_parent()
    asyncio.run(repository.manager.arun())
