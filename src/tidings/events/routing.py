"""Routing: from an event type to a topic."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TYPE_CHECKING

from tidings.errors import InvalidEvent, InvalidTopic
from tidings.topics import is_topic_name

if TYPE_CHECKING:
    from tidings.settings import Settings

_MOST_TOPICS = 10_000


def check_topic(topic: object) -> str:
    """Return ``topic`` if Kafka takes it as a name, else raise InvalidTopic."""
    if not isinstance(topic, str):
        raise InvalidTopic(f"a topic is a str, not a {type(topic).__qualname__}.")
    if not is_topic_name(topic):
        shown = repr(topic) if len(topic) < 250 else f"{topic[:40]!r}… ({len(topic)} characters)"
        raise InvalidTopic(f"{shown} is not a topic name.")
    return topic


def topics_by_setting(settings: Settings) -> dict[str, str]:
    """Where events of the catalogue go whose topic has a setting of its own."""
    audit, auth, usage = settings.audit_topic, settings.auth_topic, settings.usage_topic
    return {
        "audit.recorded": audit,
        "auth.recorded": auth,
        "user.token_refreshed": auth,
        "usage.recorded": usage,
    }


class Router:
    """Finds the topic of an event type; changed at run time from any thread.

    In this order: the mappings set at run time, TOPIC_MAP, patterns of either (``user.*``, the longest
    first), the topic of ``by_setting``, the topic the class declared, the default topic. A logical name of
    TOPICS is resolved wherever a topic is named.
    """

    def __init__(
        self,
        default: str,
        topic_map: Mapping[str, str],
        logical: Mapping[str, str],
        by_setting: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._logical = dict(logical)
        self._resolved: dict[str, str] = {}
        self._default = self.resolve(default)
        self._configured = {event_type: self.resolve(topic) for event_type, topic in topic_map.items()}
        self._by_setting = by_setting
        self._mapped: dict[str, str] = {}
        self._lock = threading.Lock()

    def resolve(self, topic: str) -> str:
        """The topic behind a logical name, or the checked name itself. Raises InvalidTopic."""
        try:
            return self._resolved[topic]
        except (KeyError, TypeError):
            resolved = check_topic(self._logical.get(topic, topic) if isinstance(topic, str) else topic)
            if len(self._resolved) < _MOST_TOPICS:
                self._resolved[topic] = resolved
            return resolved

    def map(self, event_type: str, topic: str) -> None:
        """Send events of this type, or of types that match this pattern, to ``topic`` from now on."""
        if not isinstance(event_type, str) or not event_type:
            raise InvalidEvent("an event type, or a pattern of them, is a string that is not empty")
        resolved = self.resolve(topic)
        with self._lock:  # replaced, never changed: readers take no lock
            self._mapped = {**self._mapped, event_type: resolved}

    @property
    def known(self) -> list[str]:
        """Every topic that was named so far, the default first."""
        return list(dict.fromkeys([self._default, *list(self._resolved.values())]))

    def after_fork(self) -> None:
        """In a forked child: the lock may have been held by a thread that is not here."""
        self._lock = threading.Lock()

    def topic_for(self, event_type: str, declared: str | None = None) -> str:
        """The topic of ``event_type``; ``declared`` is what its class says."""
        mapped = self._mapped
        exact = mapped.get(event_type) or self._configured.get(event_type)
        if exact:
            return exact
        patterns = {**self._configured, **mapped}
        for pattern in sorted(patterns, key=len, reverse=True):
            if fnmatchcase(event_type, pattern):
                return patterns[pattern]
        topic = self._by_setting.get(event_type, declared)
        return self.resolve(topic) if topic else self._default
