"""The process's one publisher, made of ``TIDINGS`` when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tidings.events.keys import Key
from tidings.publishing.entry import Delivery
from tidings.publishing.threads import native_rlock
from tidings.web.config import publisher_settings
from tidings.web.django.conf import tidings_setting
from tidings.web.kafka import audit_sender

if TYPE_CHECKING:
    from tidings.publishing.publisher import Publisher

_making = native_rlock()
_made: Publisher | None = None
_instead: list[Publisher] = []


def get_publisher() -> Publisher:
    """The publisher of this process. It connects to nothing before the first event, may be made before a
    fork, and is closed when the process ends. Raises ConfigError. Any thread."""
    global _made  # noqa: PLW0603 - Django has one of everything
    if _instead:
        return _instead[-1]
    if _made is None:
        from tidings.publishing.publisher import Publisher  # noqa: PLC0415

        with _making:
            if _made is None:
                _made = Publisher(**publisher_settings(tidings_setting()))
    return _made


@contextmanager
def use_publisher(publisher: Publisher) -> Iterator[Publisher]:
    """Have all of Django use this one meanwhile: for tests. Blocks nest; all threads see it."""
    _instead.append(publisher)
    try:
        yield publisher
    finally:
        _instead.remove(publisher)


def forget_when_changed(*, setting: str, **_: Any) -> None:
    """After a test has overridden TIDINGS, the next publisher is made of what it is now."""
    global _made
    if setting == "TIDINGS":
        with _making:
            former, _made = _made, None
        if former is not None:
            former.close()


class CurrentSender:
    """Sends audit entries through whichever publisher is in use."""

    def send(self, key: Key, value: object) -> Delivery | None:
        """Send to AUDIT_TOPIC."""
        return audit_sender(get_publisher()).send(key, value)

    def close(self) -> None:
        """Nothing to let go of."""
