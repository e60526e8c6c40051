"""The engine's voice: a user's logger may raise, and that is no reason to stop looking after events."""

from __future__ import annotations

import logging
import threading
from typing import Any, cast


class Voice(logging.LoggerAdapter[logging.Logger]):
    """A logger that raises nothing on the engine's threads, and puts ``fields`` on every record.

    Fields, and those of ``extra=``, are attributes of the records of a stdlib logger; another logger
    (structlog's) gets them as keywords. On the main thread it does raise: there the exception may be a signal
    handler's.
    """

    def __init__(self, logger: logging.Logger, **fields: object) -> None:
        super().__init__(logger, fields)
        self._is_stdlib = isinstance(logger, (logging.Logger, logging.LoggerAdapter))

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log, with the user's logger if it can, else with tidings' own."""
        try:
            self.logger.log(level, msg, *args, **self._with_fields(kwargs))
        except Exception as error:
            if threading.current_thread() is threading.main_thread():
                raise
            logging.getLogger("tidings").error(f"the logger raised {error!r} for: {msg}")

    def _with_fields(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        fields = {**(self.extra or {}), **(kwargs.pop("extra", None) or {})}
        if not self._is_stdlib:
            return {**fields, **kwargs}
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1  # the line that logs, not this one
        return {**kwargs, "extra": fields}


def voiced(logger: logging.Logger, **fields: object) -> logging.Logger:
    """A Voice, for rooms that take any logger."""
    return cast("logging.Logger", Voice(logger, **fields))
