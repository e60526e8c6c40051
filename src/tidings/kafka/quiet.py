"""librdkafka's own log lines, at DEBUG."""

from __future__ import annotations

import logging
from typing import Any


def librdkafka_log() -> Any:
    """librdkafka's own log lines, as DEBUG: it repeats itself with every reconnect."""
    logger = logging.getLogger("tidings.kafka")
    demoted = logging.LoggerAdapter(logger)
    demoted.log = lambda _level, message, *args, **kw: logger.debug(message, *args)  # type: ignore[method-assign]
    return demoted
