"""The letter: a dead-lettered event with its reason, as it stands on the dead-letter topic."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from tidings.errors import Certainty, DecodeError
from tidings.events.ids import new_id
from tidings.letters.exact import EventEncoding, TextEncoding, as_bytes, as_text, embed, extract
from tidings.topics import TOPIC_RULE, is_topic_name

if TYPE_CHECKING:
    from tidings.letters.owed import Owed

Pair = tuple[str, bytes | None]
Count = Annotated[int, msgspec.Meta(ge=0)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]

REPLAY_COUNT: Final = "tidings-replay-count"
LETTER_ID: Final = "tidings-letter-id"
"""The headers of a replayed event: how often it was replayed, and the letter it comes from."""

_LONGEST_REASON = 8 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LetterHeader(msgspec.Struct, frozen=True, omit_defaults=True):
    """One header of the record: its value as text when it is UTF-8, else as base64; None for null."""

    name: str
    value: str | None
    encoding: TextEncoding = "text"

    def __post_init__(self) -> None:
        self.pair()

    def pair(self) -> Pair:
        """Name and bytes."""
        return self.name, None if self.value is None else as_bytes(self.value, self.encoding)


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A letter: the whole record that was not delivered, byte for byte, and why.

    ``value``, ``key`` and ``record_headers`` are the record's own bytes; the fields are what is written as
    JSON. ``event`` is the value itself where it is JSON (``event_encoding`` ``json``), else base64; null with
    ``event_encoding`` null is a tombstone. ``first_attempt`` and ``last_attempt`` are in UTC. ``certainty``
    says whether Kafka may have the event all the same. ``origin`` is who gave up: a ``publisher``
    (``partition`` is then the one the user asked for) or a ``consumer`` (``partition``, ``offset`` and
    ``group`` say what it read). ``event_left_out``: the event, too large for a letter, is only there.
    ``record_timestamp``, in milliseconds since 1970, is one the user had set, or the one of the record that
    was read. Immutable: any thread.
    """

    event: msgspec.Raw
    topic: str
    failure_reason: str
    attempt_count: Count
    first_attempt: Moment
    last_attempt: Moment
    letter_id: str
    event_encoding: EventEncoding
    event_id: str | None = None
    event_type: str | None = None
    error_code: str = "UNKNOWN"
    certainty: Certainty = "unknown"
    origin: Literal["publisher", "consumer"] = "publisher"
    partition: Count | None = None
    offset: Count | None = None
    group: str | None = None
    key_text: str | None = msgspec.field(default=None, name="key")
    key_encoding: TextEncoding = "text"
    headers: list[LetterHeader] = []
    record_timestamp: int | None = None
    replay_count: Count = 0
    client_id: str = ""
    event_left_out: bool = False

    def __post_init__(self) -> None:
        if not is_topic_name(self.topic):
            raise ValueError(f"`topic`: {TOPIC_RULE}")
        extract(self.event, self.event_encoding)
        if self.event_left_out and (self.partition is None or self.offset is None):
            raise ValueError("`event_left_out`: `partition` and `offset` must say where the event is")
        try:
            _ = self.key
        except ValueError:
            raise ValueError("`key` is not base64, as `key_encoding` says") from None

    @property
    def value(self) -> bytes | None:
        """The record's value, exactly; None for a tombstone, and where the event was left out."""
        return extract(self.event, self.event_encoding)

    @property
    def key(self) -> bytes | None:
        """The record's key, exactly."""
        return None if self.key_text is None else as_bytes(self.key_text, self.key_encoding)

    @property
    def record_headers(self) -> list[Pair]:
        """The record's headers, exactly, in their order."""
        return [header.pair() for header in self.headers]

    def encode(self) -> bytes:
        """The letter as JSON."""
        return _encoder.encode(self)

    @classmethod
    def decode(cls, value: bytes | None) -> DeadLetter:
        """A letter from its JSON, also after a person has edited it; fields it does not know are passed over.

        Raises DecodeError, which names the field that is wrong.
        """
        if value is None:
            raise DecodeError("The record is a tombstone, not a letter.")
        try:
            return _decoder.decode(value)
        except UnicodeDecodeError:
            problem = "it is not UTF-8"
        except RecursionError:
            problem = "it is nested too deeply"
        except msgspec.MsgspecError as error:
            problem = str(error)
        raise DecodeError(f"The letter cannot be read: {problem}. Correct that and write the letter again.")

    @classmethod
    def of(
        cls,
        owed: Owed,
        *,
        error_code: str,
        reason: str,
        certainty: Certainty,
        client_id: str,
        first_attempt_ms: int,
        last_attempt_ms: int,
    ) -> DeadLetter:
        """The letter of an event that a publisher owes. Times are in milliseconds since 1970."""
        return cls.of_record(
            owed.topic,
            owed.value,
            owed.key,
            owed.headers,
            event_id=owed.event_id.decode(errors="replace"),
            partition=owed.partition if owed.partition >= 0 else None,
            record_timestamp=owed.timestamp or None,
            attempts=owed.attempts,
            error_code=error_code,
            reason=reason,
            certainty=certainty,
            client_id=client_id,
            first_attempt_ms=first_attempt_ms,
            last_attempt_ms=last_attempt_ms,
        )

    @classmethod
    def of_record(
        cls,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: Sequence[Pair],
        *,
        event_id: str | None,
        attempts: int,
        error_code: str,
        reason: str,
        certainty: Certainty,
        client_id: str,
        first_attempt_ms: int,
        last_attempt_ms: int,
        letter_id: str | None = None,
        origin: Literal["publisher", "consumer"] = "publisher",
        partition: int | None = None,
        offset: int | None = None,
        group: str | None = None,
        record_timestamp: int | None = None,
        event_left_out: bool = False,
    ) -> DeadLetter:
        """The letter of any record. ``letter_id`` defaults to a new UUIDv7; the reason is cut at 8 KiB."""
        event, event_encoding = embed(None if event_left_out else value)
        key_text: str | None = None
        key_encoding: TextEncoding = "text"
        if key is not None:
            key_text, key_encoding = as_text(key)
        return cls(
            event=event,
            event_encoding=event_encoding,
            topic=topic,
            failure_reason=cut(reason),
            attempt_count=attempts,
            first_attempt=_moment(first_attempt_ms),
            last_attempt=_moment(last_attempt_ms),
            letter_id=letter_id or new_id(),
            event_id=event_id,
            event_type=_header_text(headers, "event_type"),
            error_code=error_code,
            certainty=certainty,
            origin=origin,
            partition=partition,
            offset=offset,
            group=group,
            key_text=key_text,
            key_encoding=key_encoding,
            headers=[_header(name, content) for name, content in headers],
            record_timestamp=record_timestamp,
            replay_count=_replay_count(headers),
            client_id=client_id,
            event_left_out=event_left_out,
        )


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(DeadLetter)


def _header(name: str, content: bytes | None) -> LetterHeader:
    return LetterHeader(name, None) if content is None else LetterHeader(name, *as_text(content))


def _header_text(headers: Sequence[Pair], wanted: str) -> str | None:
    content = next((content for name, content in headers if name == wanted), None)
    try:
        return None if content is None else content.decode()
    except UnicodeDecodeError:
        return None


def _replay_count(headers: Sequence[Pair]) -> int:
    text = _header_text(headers, REPLAY_COUNT) or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def cut(reason: str) -> str:
    """A reason as long as a letter may have it."""
    return reason.encode(errors="replace")[:_LONGEST_REASON].decode(errors="ignore")


def _moment(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)
