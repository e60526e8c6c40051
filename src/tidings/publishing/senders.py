"""Senders that need no Kafka: in memory, to a log, to several places at once. A publisher's: ``sender()``."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack

from tidings.errors import PublisherClosed
from tidings.events.codec import to_json
from tidings.events.keys import Key
from tidings.events.privacy import mask
from tidings.publishing.complaints import Complaint
from tidings.publishing.contracts import Sender
from tidings.publishing.entry import Delivery

_Bytes = (bytes, bytearray, memoryview)
_LONGEST_LINE = 8192


class InMemorySender:
    """Keeps what it is sent in ``sent``, pairs of key and value: the newest ``most`` of them. Any thread."""

    def __init__(self, most: int = 10_000) -> None:
        self.sent: deque[tuple[Key, object]] = deque(maxlen=most)
        self.is_closed = False

    @property
    def values(self) -> list[object]:
        """What was sent, without the keys."""
        return [value for _, value in list(self.sent)]

    def send(self, key: Key, value: object) -> None:
        """Keep it. Raises PublisherClosed after ``close``, InvalidEvent for what JSON has no form of."""
        _refuse_when_closed(self.is_closed)
        _check(value)
        self.sent.append((key, value))

    def close(self) -> None:
        """Take nothing more; what was sent stays to be read."""
        self.is_closed = True


class LoggingSender:
    """Logs what it is sent, each as one line of JSON, with ``***`` for what is Secret or Personal.

    ``logger`` defaults to ``tidings.sender``, ``level`` to INFO; a line is cut at 8 KiB. The record has the
    fields ``key`` and ``value``, for structured logs. Any thread.
    """

    def __init__(self, logger: logging.Logger | None = None, level: int = logging.INFO) -> None:
        self._logger = logger or logging.getLogger("tidings.sender")
        self._level = level
        self._closed = False

    def send(self, key: Key, value: object) -> None:
        """Log it. Raises PublisherClosed after ``close``, InvalidEvent for what JSON has no form of."""
        _refuse_when_closed(self._closed)
        _check(value)
        fields = {"key": _text(key), "value": _text(value) if isinstance(value, _Bytes) else mask(value)}
        extra = {"component": "kafka", **fields}
        self._logger.log(self._level, "%s", json.dumps(fields)[:_LONGEST_LINE], extra=extra)

    def close(self) -> None:
        """Log nothing more."""
        self._closed = True


class FanOutSender:
    """Sends to all of ``senders``; one that fails does not keep the others from getting it.

    A failure is logged once, then as counts, and counted in ``failures``, a number for each sender. Only
    where all of them fail, ``send`` raises what the first one raised. Any thread, if they take any.
    """

    def __init__(self, *senders: Sender) -> None:
        self._senders = senders
        logger = logging.getLogger("tidings.sender")
        self._complaints = [
            Complaint(logger, f"{type(it).__qualname__} did not take a value") for it in senders
        ]

    @property
    def failures(self) -> Sequence[int]:
        """How often each sender failed, in the order they were given."""
        return [complaint.count for complaint in self._complaints]

    def send(self, key: Key, value: object) -> Delivery | None:
        """Send to each. Returns the first Delivery that there is."""
        errors: list[Exception] = []
        found: Delivery | None = None
        for sender, complaint in zip(self._senders, self._complaints, strict=True):
            try:
                delivery = sender.send(key, value)
            except Exception as error:
                complaint.record(error)
                errors.append(error)
            else:
                complaint.relieve()
                found = delivery if found is None else found
        if errors and len(errors) == len(self._senders):
            raise errors[0]
        return found

    def close(self) -> None:
        """Close each, whatever the others do; raises what one of them raised."""
        with ExitStack() as closing:
            for sender in reversed(self._senders):
                closing.callback(sender.close)


def _check(value: object) -> None:
    if not isinstance(value, _Bytes):
        to_json(value)


def _text(value: object) -> str | None:
    if isinstance(value, _Bytes):
        return bytes(value).decode(errors="backslashreplace")
    return None if value is None else str(value)


def _refuse_when_closed(closed: bool) -> None:
    if closed:
        raise PublisherClosed("The sender was closed.")
