"""Times a user gives: for the envelope as RFC 3339 text, for a record as milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime

from tidings.errors import InvalidEvent

_MAX_MS = 253_402_300_799_999  # the last millisecond of the year 9999


def envelope_time(moment: datetime | int) -> bytes:
    """RFC 3339 in UTC with a ``Z``; ``moment`` as for ``record_time``. Raises InvalidEvent."""
    if isinstance(moment, datetime):
        _need_zone(moment)
        return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds").encode() + b"Z"
    utc = datetime.fromtimestamp(record_time(moment) / 1000, UTC)
    return utc.replace(tzinfo=None).isoformat(timespec="milliseconds").encode() + b"Z"


def record_time(moment: datetime | int) -> int:
    """Milliseconds since 1970 of a datetime with a time zone, or of such a number itself.

    Raises InvalidEvent for anything else, and for moments at or before 1970: Kafka's clients take 0 for
    "now" and -1 for "none".
    """
    if isinstance(moment, datetime):
        _need_zone(moment)
        ms = int(moment.timestamp() * 1000)
    elif isinstance(moment, int) and not isinstance(moment, bool):
        ms = moment
    else:
        raise InvalidEvent(
            f"timestamp is a {type(moment).__qualname__}; it is a datetime or milliseconds since 1970"
        )
    if not 0 < ms <= _MAX_MS:
        raise InvalidEvent(f"timestamp {moment!r} is outside of 1970 to 9999")
    return ms


def _need_zone(moment: datetime) -> None:
    if moment.tzinfo is None:
        raise InvalidEvent(f"timestamp {moment!r} has no time zone: use datetime.now(timezone.utc)")
