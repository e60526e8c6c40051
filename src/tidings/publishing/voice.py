"""The engine's voice: a user's logger may raise, and that is no reason to stop looking after events."""

from __future__ import annotations

import logging
import threading
from typing import Any


class Voice(logging.LoggerAdapter[logging.Logger]):
    """A logger that raises nothing on the engine's threads.

    On the main thread it does: there the exception may be a signal handler's.
    """

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logger, {})

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log, with the user's logger if it can, else with tidings' own."""
        try:
            self.logger.log(level, msg, *args, **kwargs)
        except Exception as error:
            if threading.current_thread() is threading.main_thread():
                raise
            logging.getLogger("tidings").error(f"the logger raised {error!r} for: {msg}")
