"""Times: a user's, for the envelope (RFC 3339) or a record (milliseconds); and those that envelopes say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from tidings.errors import InvalidEvent

_MAX_MS = 253_402_300_799_999  # the last millisecond of the year 9999
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def envelope_time(moment: datetime | int) -> bytes:
    """RFC 3339 in UTC with a ``Z``; ``moment`` as for ``record_time``. Raises InvalidEvent."""
    if isinstance(moment, datetime):
        return _utc(moment).isoformat(timespec="microseconds").encode()[: -len("+00:00")] + b"Z"
    utc = _EPOCH + record_time(moment) * _MILLISECOND
    return utc.isoformat(timespec="milliseconds").encode()[: -len("+00:00")] + b"Z"


def record_time(moment: datetime | int) -> int:
    """Milliseconds since 1970 of a datetime with a time zone, or of such a number itself.

    Raises InvalidEvent for anything else, and for moments at or before 1970: Kafka's clients take 0 for
    "now" and -1 for "none".
    """
    if isinstance(moment, datetime):
        ms = (_utc(moment) - _EPOCH) // _MILLISECOND
    elif isinstance(moment, int) and not isinstance(moment, bool):
        ms = moment
    else:
        raise InvalidEvent(
            f"timestamp is a {type(moment).__qualname__}; it is a datetime or milliseconds since 1970"
        )
    if not 0 < ms <= _MAX_MS:
        shown = f"{moment!r}" if isinstance(moment, datetime) or ms.bit_length() < 99 else "of a huge number"
        raise InvalidEvent(f"timestamp {shown} is outside of 1970 to 9999")
    return ms


def read_moment(given: object) -> datetime | None:
    """The time an envelope says, in UTC; None where it is missing, or is none.

    RFC 3339; a time without a zone is taken as UTC, as those who write such a thing mean it.
    """
    if given is None or isinstance(given, datetime):
        return given
    try:
        moment = msgspec.convert(given, datetime)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        return None


def _utc(moment: datetime) -> datetime:
    if moment.utcoffset() is None:
        raise InvalidEvent(f"timestamp {moment!r} has no time zone: use datetime.now(timezone.utc)")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InvalidEvent(f"timestamp {moment!r} is outside of the years 1 to 9999 in UTC") from None
