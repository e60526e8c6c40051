"""How a service shows what it handled: one line on stdout, the event's id in front."""

from __future__ import annotations

import sys
import threading
from typing import Any

from tidings import Message

_turn = threading.Lock()


def show(message: Message[Any], text: str) -> None:
    """Print one line at once. Any thread."""
    with _turn:
        sys.stdout.write(f"{message.event_id}\t{message.event_type:<21} {text}  [{message.correlation_id}]\n")
        sys.stdout.flush()
