"""The contract between a consumer's engine and wherever the records are: Kafka, or a test's memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from tidings.consuming.client import Client
from tidings.consuming.letters import LetterWriter
from tidings.states import Health

Told = Callable[[str, bool], None]
"""Gets what is said beside records, as ``NAME: words``, and True where nothing can be read because of it."""


@runtime_checkable
class ConsumerTransport(Protocol):
    """Makes the clients of one consumer. Any thread; nothing connects before the clients do."""

    def member(self, group: str, told: Told) -> Client:
        """A client for one member of this group."""

    def letter_writer(self) -> LetterWriter:
        """A client for letters; the caller closes it."""

    def health(self, timeout: float) -> Health:
        """Does Kafka answer? Asks, for up to ``timeout`` seconds. Raises nothing."""
