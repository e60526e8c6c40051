"""The gate: may the client have this event now, or must the store have it first?

While nothing is wrong no event comes here: the engine's ``produce`` is the client's own. The gate stands in
its place while a topic's breaker is open, while something of an event's key waits in the store (ENGINE R6),
while the client is being rebuilt, and always in write-ahead mode.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set

from tidings.errors import PublishError
from tidings.publishing.entry import Delivery, Pair
from tidings.publishing.threads import native_rlock

_BUCKETS = 1024


def bucket_of(key: bytes | None) -> int | None:
    """The bucket of a key; events without one have none, since they have no order."""
    return None if key is None else hash(key) % _BUCKETS


class Gate:
    """Counts what waits, key by key, and takes what may not go to the client into the intake.

    The intake is bounded by ``most_messages`` and ``most_bytes``; BufferError says that it is full.
    ``changed`` is called when the gate begins to matter, ``wake`` when the intake has something.
    """

    def __init__(
        self,
        *,
        always: bool,
        orders: bool,
        most_messages: int,
        most_bytes: int,
        changed: Callable[[], None],
        wake: Callable[[], None],
    ) -> None:
        self.rebuilding = False
        self.refusal: Callable[[], PublishError] | None = None
        """Why nothing at all can be taken now; None as a rule."""
        self.unstorable: Callable[[], PublishError] | None = None
        """Why nothing can be stored now; None as a rule."""
        self._always = always
        self._orders = orders and not always
        self._most_messages = most_messages
        self._most_bytes = most_bytes
        self._changed = changed
        self._wake = wake
        self._lock = native_rlock()
        self._buckets: dict[str, dict[int, int]] = {}
        self._shut: Mapping[str, object] = {}
        self._blocked: Mapping[str, Set[int]] = {}
        self._intake: list[tuple[Delivery, list[Pair]]] = []
        self._bytes = 0

    @property
    def is_clear(self) -> bool:
        """True when every event may go straight to the client."""
        return not (
            self._always
            or self._buckets
            or self._shut
            or self._blocked
            or self.rebuilding
            or self.refusal is not None
        )

    def is_shut(self, topic: str) -> bool:
        """True while the topic's breaker is open: its events go to the store, and stay there."""
        return topic in self._shut

    def diverts(self, topic: str, key: bytes | None) -> bool:
        """True when an event of this topic and key has to go through the store."""
        if self._always or self.rebuilding or self.is_shut(topic):
            return True
        bucket = bucket_of(key)
        if bucket is None:
            return False
        return bucket in self._buckets.get(topic, ()) or bucket in self._blocked.get(topic, ())

    def take(self, entry: Delivery, headers: list[Pair]) -> None:
        """Take an entry in; it waits from now on. Raises BufferError, or why it cannot be stored."""
        size = len(entry.value or b"") + len(entry.key or b"")
        with self._lock:
            if self.unstorable is not None:
                raise self.unstorable()
            if len(self._intake) >= self._most_messages or (
                self._intake and self._bytes + size > self._most_bytes
            ):
                raise BufferError("the intake of the store is full")
            self._raise(entry)
            self._bytes += size
            self._intake.append((entry, headers))
            entry.attempts = 0
            entry.waiting = True
        self._wake()

    def empty(self, most: int) -> list[tuple[Delivery, list[Pair]]]:
        """Up to ``most`` of what was taken in, in order."""
        with self._lock:  # for as short as can be: publishers wait for it
            taken = self._intake[:most]
            del self._intake[:most]
        size = sum(len(entry.value or b"") + len(entry.key or b"") for entry, _ in taken)
        with self._lock:
            self._bytes -= size
        return taken

    def waiting(self) -> list[Delivery]:
        """What is in the intake."""
        with self._lock:
            return [entry for entry, _ in self._intake]

    @property
    def intake(self) -> int:
        """How many entries are in the intake."""
        return len(self._intake)

    @property
    def share(self) -> float:
        """How much of the intake's room is used up, of 1."""
        return max(len(self._intake) / self._most_messages, self._bytes / self._most_bytes)

    def raise_bucket(self, entry: Delivery) -> None:
        """The entry waits: later ones of its key have to queue behind it."""
        if self._orders and entry.key is not None and not entry.counted:
            with self._lock:
                self._raise(entry)
            self._changed()

    def lower_bucket(self, entry: Delivery) -> None:
        """The entry waits no longer; called once produce() of it returned, or it ended."""
        if not entry.counted:
            return
        with self._lock:
            entry.counted = False
            buckets = self._buckets.get(entry.topic, {})
            bucket = bucket_of(entry.key)
            assert bucket is not None
            left = buckets.get(bucket, 0) - 1
            if left > 0:
                buckets[bucket] = left
                return
            buckets.pop(bucket, None)
            if not buckets:
                self._buckets.pop(entry.topic, None)

    def forget_counts(self) -> None:
        """Nothing waits: whatever is still counted was destroyed with its row, and must divert nobody."""
        with self._lock:
            if not self._intake:
                self._buckets.clear()

    def shut(self, topics: Mapping[str, object], blocked: Mapping[str, Set[int]]) -> None:
        """Which topics take nothing at all, and which buckets of the others."""
        with self._lock:
            self._shut, self._blocked = topics, blocked if self._orders else {}

    def blocked(self, topic: str) -> Set[int]:
        """The buckets of the topic that nothing may be sent for now."""
        return self._blocked.get(topic, frozenset())

    def _raise(self, entry: Delivery) -> None:
        bucket = bucket_of(entry.key)
        if self._orders and bucket is not None and not entry.counted:
            entry.counted = True
            buckets = self._buckets.setdefault(entry.topic, {})
            buckets[bucket] = buckets.get(bucket, 0) + 1
