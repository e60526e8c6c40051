"""Fields: what keeps accepted events while Kafka does not take them: sending again, the store, letters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator

from tidings.settings.base import Group
from tidings.settings.values import directory, label, letters_topic, seconds, size, within

DAY = 24 * 3600.0


class Keeping(Group):
    """What happens to an event that Kafka does not take at once. Times are in seconds, sizes in bytes."""

    durability: Literal["memory", "spill", "write-ahead"] = "spill"
    """Where accepted events are kept until Kafka has them. ``spill``: in memory, and after STORE_AFTER on
    disk too, so a healthy Kafka costs no disk write, and a killed process loses at most the last STORE_AFTER
    of an outage. ``write-ahead``: on disk before they are sent; once ``wait_safe()`` has returned, a killed
    process loses nothing. ``memory``: never on disk; what is not delivered when the process ends is lost."""

    retry_max: Annotated[int, AfterValidator(within(1, 1000, ""))] = 3
    """How often a broker must have refused an event, sent alone, before it is dead-lettered. 3, since a
    refusal may come from a setting that is being changed. Time counts for nothing: events that get no answer
    are sent again without end (in ``memory`` mode, so often or for twice DELIVERY_TIMEOUT)."""

    retry_backoff: Annotated[float, BeforeValidator(seconds), AfterValidator(within(0.001, 3600, " s"))] = 0.1
    """The longest pause before an event is sent again the first time, in seconds; doubled each time, and a
    random part of it is waited, so that many processes do not come back at one moment. 100 ms, as Kafka's
    own clients have it."""

    retry_backoff_max: Annotated[
        float, BeforeValidator(seconds), AfterValidator(within(0.001, 3600, " s"))
    ] = 30.0
    """Where RETRY_BACKOFF stops growing, in seconds. 30 s: a long outage costs little, and its end is known
    soon."""

    ordering: Literal["key", "none"] = "key"
    """``key``: while earlier events of a key are in the store, later ones wait behind them. ``none``: no
    event waits for another, so new events go out at once after an outage, and old ones when there is time."""

    store_dir: Annotated[Path, BeforeValidator(directory)] | None = None
    """The directory of the store, on a local disk; ``~`` is the home directory. One directory serves many
    processes. Default: ``$XDG_STATE_HOME/tidings`` or ``~/.local/state/tidings``; where that cannot be
    written, ``memory`` mode with a loud warning. A directory named here that cannot be used is an error. In
    a container, put it on a volume: what is stored elsewhere goes with the container."""

    store_name: Annotated[str, AfterValidator(label)] | None = None
    """Processes of one name adopt what dead ones left in the store. Default: SERVICE and BROKERS together,
    so that no events go to another cluster. Set it where either changes between two starts."""

    store_after: Annotated[float, BeforeValidator(seconds), AfterValidator(within(0.1, 3600, " s"))] = 2.0
    """How long an event may wait for Kafka in memory alone, in seconds, and how long a caller waits for
    Kafka before ``stored`` is the answer. 2 s is above the latency of a healthy Kafka and of a rolling
    restart (1.5 s measured), so that neither touches the disk."""

    store_max_bytes: Annotated[int, BeforeValidator(size), AfterValidator(within(1024, 2**60, " bytes"))] = (
        1024**3
    )
    """The most disk one process's store takes, with its write-ahead log. 1 GiB holds about half an hour of
    1,000 events a second of 500 bytes. At least twice QUEUE_BYTES and INTAKE_BYTES together, so that
    everything in memory always fits; where it does not, new events are refused with StoreFull."""

    store_max_age: Annotated[float, BeforeValidator(seconds), AfterValidator(within(1, 3650 * DAY, " s"))] = (
        7 * DAY
    )
    """How long an event may stay in the store while Kafka answers, in seconds; then it becomes a letter. 7
    days: a wrong topic or permission is found within a week, and Kafka itself keeps events so long."""

    intake_bytes: Annotated[int, BeforeValidator(size), AfterValidator(within(1024, 2**40, " bytes"))] = (
        16 * 1024**2
    )
    """The most bytes on their way to the store's disk, in memory. 16 MiB is some tenths of a second of a
    slow disk; full, it holds publish() back for up to MAX_BLOCK, and then it raises QueueFull."""

    intake_messages: Annotated[int, AfterValidator(within(1, 10_000_000, ""))] = 10_000
    """The most events on their way to the store's disk, in memory. 10,000 bounds what small events cost
    beside their bytes."""

    dlq_topic: Annotated[str, AfterValidator(letters_topic)] = "dead-letters"
    """The topic that letters go to; it may hold ``{topic}``, the event's own topic: ``{topic}.dlq``. Never
    one that events go to. It should exist: letters wait in the store while it does not."""

    dlq_buffer: Annotated[int, AfterValidator(within(1, 1_000_000, ""))] = 1000
    """In ``memory`` mode, the most letters that wait for DLQ_TOPIC; one more is lost, and said to be. 1,000
    of the largest events are 1 GB."""
