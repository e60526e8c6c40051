"""Fields: how events are sent: batches, queue, time limits, sizes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator

from tidings.settings.base import Group
from tidings.settings.values import seconds, size, within

INT32 = 2_147_483_647
MAX_EVENT_BYTES = 999_000_000
"""The largest event: librdkafka's messages end at 1,000,000,000 bytes, framing included."""


class Sending(Group):
    """How events are sent. Times are in seconds, sizes in bytes."""

    delivery_timeout: Annotated[
        float, BeforeValidator(seconds), AfterValidator(within(0.1, INT32 / 1000, " s"))
    ] = 120.0
    """How long the Kafka client tries to deliver an event by itself, in seconds. 120 s, because a shorter
    time makes duplicates and breaks order in an outage that is longer: an event that times out may be in
    Kafka already. Outages are known earlier, by OUTAGE_AFTER. librdkafka: ``delivery.timeout.ms``."""

    outage_after: Annotated[float, BeforeValidator(seconds), AfterValidator(within(0.1, 3600, " s"))] = 10.0
    """After so many seconds without any acknowledgement while events are under way, Kafka counts as away:
    some outages are never reported to the client. 10 s is above the longest election measured (5 s)."""

    max_in_flight: Annotated[int, AfterValidator(within(1, 5, ""))] = 5
    """Requests under way to one broker, 1 to 5. More would need idempotence off: Kafka remembers the last
    five batches of a producer. Order holds with any of them. librdkafka: ``max.in.flight``."""

    flush_messages: Annotated[int, AfterValidator(within(1, 1_000_000, ""))] = 1000
    """The most events in a batch: a cap, not a trigger, since a batch leaves after FLUSH_TIMEOUT. 1000 is as
    fast as 10,000, and bounds how many neighbours one refused event drags along. librdkafka:
    ``batch.num.messages``."""

    flush_bytes: Annotated[int, BeforeValidator(size), AfterValidator(within(1, INT32, " bytes"))] = 1_000_000
    """The most bytes in a batch of several events. 1,000,000 stays below the 1,048,588 that Kafka takes by
    default; keep it below a topic's ``max.message.bytes``, or whole batches are refused. librdkafka:
    ``batch.size``."""

    flush_timeout: Annotated[float, BeforeValidator(seconds), AfterValidator(within(0, 900, " s"))] = 0.005
    """How long an event waits for others to share its batch. 5 ms: half of the time buys little, and without
    it small events cost several times as much. librdkafka: ``linger.ms``."""

    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "snappy"
    """How batches are compressed. snappy costs next to nothing and every Kafka client reads it. librdkafka:
    ``compression.type``."""

    queue_messages: Annotated[int, AfterValidator(within(1, INT32, ""))] = 100_000
    """The most events waiting for Kafka in memory. librdkafka: ``queue.buffering.max.messages``."""

    queue_bytes: Annotated[
        int, BeforeValidator(size), AfterValidator(within(1024, INT32 * 1024, " bytes"))
    ] = 64 * 1024 * 1024
    """The most bytes of values waiting for Kafka in memory: 64 MiB lets a small container outlive a broker's
    restart. librdkafka: ``queue.buffering.max.kbytes``, rounded up."""

    max_block: Annotated[float, BeforeValidator(seconds), AfterValidator(within(0, 3600, " s"))] = 1.0
    """How long publish() waits for room in a full queue before it raises QueueFull, in seconds; 0 raises at
    once. A running event loop is never blocked: there it raises at once."""

    max_event_bytes: Annotated[
        int, BeforeValidator(size), AfterValidator(within(1, MAX_EVENT_BYTES, " bytes"))
    ] = 1_000_000
    """The largest event: key, value and headers as encoded. 1,000,000 leaves room for framing below the
    1,048,588 that Kafka takes by default. ``message.max.bytes`` follows from it."""

    close_timeout: Annotated[float, BeforeValidator(seconds), AfterValidator(within(0, 3600, " s"))] = 10.0
    """How long close() goes on delivering, in seconds. Container runtimes kill 30 s after they ask to stop;
    10 s leaves the application its share."""
