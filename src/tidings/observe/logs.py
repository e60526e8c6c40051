"""Logs as JSON, one object on one line for each record, whatever the record holds."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from tidings.events.correlation import current_correlation_id
from tidings.events.payloads.marks import MASK
from tidings.events.privacy import mask
from tidings.events.secretnames import is_secret_name
from tidings.observe.secrets import without_secrets

_LONGEST_MESSAGE: Final = 8192
_LONGEST_TRACEBACK: Final = 16384
_LONGEST_VALUE: Final = 2048
_MOST: Final = 50
_DEEPEST: Final = 4
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_OURS: Final = frozenset({"time", "level", "logger", "message", "exception", "stack"})
_UNSAFE: Final = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What JSON leaves as it is, and terminals and readers do not: ends of lines, controls, directions."""


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: ``time`` (UTC), ``level``, ``logger``, ``message``,
    ``component`` where tidings itself logs, ``correlation_id``, then the record's own fields (``extra=``:
    topic, event_id, code, error …), and for exceptions ``error`` and ``exception``, the traceback. A field of
    the record that is called as one of the formatter's own, ``level``, is ``extra_level``.

    What looks like a secret is ``***``, by its form or by the name of its field; Secret and Personal fields
    of events are too. Everything is cut: messages at 8 KiB, tracebacks at their last 16, values at 2, fields
    at 50. ``fields`` are put on every line, ``{"service": "shop"}``. The correlation id is the one in force
    where the line is formatted: behind a QueueHandler use CorrelationFilter too. Any thread; raises nothing.
    """

    def __init__(self, fields: Mapping[str, object] | None = None) -> None:
        super().__init__()
        self._fields = dict(fields or {})

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        own = {str(name): value for name, value in vars(record).items() if name not in _STANDARD}
        line = {
            "time": _time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": _text(_message(record), _LONGEST_MESSAGE),
            **_known(record.name, own.pop("correlation_id", None)),
            **_named(islice(own.items(), _MOST)),
            **_named(self._fields.items()),
        }
        if record.exc_info and record.exc_info[1] is not None:
            raised = record.exc_info[1]
            line.setdefault("error", _text(f"{type(raised).__qualname__}: {_said(raised)}", _LONGEST_VALUE))
            line["exception"] = _end_of(self.formatException(record.exc_info))
        if record.stack_info:
            line["stack"] = _end_of(record.stack_info)
        return _UNSAFE.sub(_escaped, json.dumps(line, ensure_ascii=False))


class CorrelationFilter(logging.Filter):
    """Notes the correlation id in force on each record, for handlers that format it elsewhere (QueueHandler),
    and for formats of one's own (``%(correlation_id)s``). Put it on the handler. Any thread."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Note it, and let the record pass."""
        if not hasattr(record, "correlation_id"):
            record.correlation_id = current_correlation_id()
        return True


def _known(logger: str, correlation_id: object) -> dict[str, object]:
    """The fields that are there whether the record has them or not."""
    found: dict[str, object] = {}
    if str(logger).partition(".")[0] == "tidings":
        found["component"] = "kafka"
    if (correlation_id := correlation_id or current_correlation_id()) is not None:
        found["correlation_id"] = _text(str(correlation_id), _LONGEST_VALUE)
    return found


def _named(fields: Iterable[tuple[str, object]]) -> dict[str, object]:
    """Fields as JSON has them; none takes the place of one of ours."""
    return {
        f"extra_{name}" if name in _OURS else name: _value(name, value, _DEEPEST) for name, value in fields
    }


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # its arguments do not fit: what is known is better than nothing
        return f"{_said(record.msg, repr):.4000} {_said(record.args, repr):.4000}"


def _said(of: object, how: Callable[[object], str] = str) -> str:
    try:
        return how(of)
    except Exception:
        return "it cannot say what"


def _value(name: str, value: Any, deepest: int) -> Any:
    """A value as JSON has it."""
    if is_secret_name(name):
        return MASK
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (str, int, float)):
        return _text(value, _LONGEST_VALUE) if isinstance(value, str) else _number(value)
    return _several(value, deepest - 1) if deepest else "…"


def _several(value: Any, deepest: int) -> Any:
    if isinstance(value, Mapping):
        return {str(key)[:80]: _value(str(key), it, deepest) for key, it in islice(value.items(), _MOST)}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_value("", it, deepest) for it in islice(value, _MOST)]
    return _value("", mask(value), deepest)


def _number(value: float) -> float | str:
    """As it is, where every reader of JSON reads it."""
    if isinstance(value, int):
        return int(value) if abs(value) < 2**63 else hex(value)[:_LONGEST_VALUE]
    return float(value) if math.isfinite(value) else str(value)


def _text(text: str, longest: int) -> str:
    found = without_secrets(text[: 2 * longest])
    return found if len(found) <= longest else f"{found[: longest - 1]}…"


def _end_of(traceback: str) -> str:
    """Its end, where it says what was raised."""
    found = without_secrets(traceback[-2 * _LONGEST_TRACEBACK :])
    return found if len(found) <= _LONGEST_TRACEBACK else f"…{found[1 - _LONGEST_TRACEBACK :]}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
