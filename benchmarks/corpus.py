"""What every side sends: distinct login events of about 430 bytes, keyed by user, with four headers."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID, uuid4

import msgspec

from tidings import event

USERS = 5_000
_AGENT = "Mozilla/5.0 (X11; Linux x86_64)"


@event("user.logged_in", topic="bench", key="user_id")
class LoggedIn(msgspec.Struct, gc=False):
    user_id: str
    email: str
    ip_address: str
    user_agent: str
    login_time: datetime
    session_id: str
    remember_me: bool
    login_method: str


class Encoded(NamedTuple):
    """One record, ready for a client that takes bytes."""

    value: bytes
    key: bytes
    headers: list[tuple[str, str | bytes | None]]


def typed(index: int, now: datetime) -> LoggedIn:
    """The index-th event: cheap to make, and different from all others."""
    user = f"user-{index % USERS}"
    return LoggedIn(
        user,
        f"{user}@example.org",
        f"10.0.{index % 250}.7",
        _AGENT,
        now,
        f"session-{index}",
        True,
        "password",
    )


def encoded(count: int) -> Iterator[Encoded]:
    """The same events as bytes, as an application that wrote the envelope itself would have them."""
    now = datetime.now(UTC)
    for index in range(count):
        payload = typed(index, now)
        event_id = str(UUID(int=uuid4().int))
        envelope = {
            "event_id": event_id,
            "event_type": "user.logged_in",
            "timestamp": now.isoformat().replace("+00:00", "Z"),
            "source": "bench",
            "version": "1.0",
            "correlation_id": event_id,
            "data": msgspec.to_builtins(payload),
        }
        yield Encoded(
            json.dumps(envelope, separators=(",", ":")).encode(),
            payload.user_id.encode(),
            [
                ("event_id", event_id.encode()),
                ("event_type", b"user.logged_in"),
                ("correlation_id", event_id.encode()),
                ("content-type", b"application/json"),
            ],
        )


def prepared(count: int) -> list[Encoded]:
    """``encoded`` as a list that the garbage collector does not walk, which would slow its holder."""
    records = list(encoded(count))
    gc.collect()
    gc.freeze()
    return records


def clock() -> float:
    """Seconds, for differences."""
    return time.perf_counter()
