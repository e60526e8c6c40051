"""What Kafka takes as a topic's name."""

from __future__ import annotations

import re
from typing import Final

_LEGAL = re.compile(r"[a-zA-Z0-9._-]{1,249}")

EVERY_TOPIC: Final = "*"
"""Every topic that is not named, where a setting is by topic."""
TOPIC_RULE: Final = "Kafka takes 1 to 249 of a-z A-Z 0-9 . _ - and neither '.' nor '..'"


def is_topic_name(name: str) -> bool:
    """Kafka's own rule (org.apache.kafka.common.internals.Topic)."""
    return name not in {".", ".."} and _LEGAL.fullmatch(name) is not None
