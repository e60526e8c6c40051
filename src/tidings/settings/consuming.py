"""Fields: how a consumer reads: its group, its workers, and what it does when handlers fail or hang."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator

from tidings.settings.base import Group
from tidings.settings.values import label, seconds, within

DAY = 24 * 3600.0


class Consuming(Group):
    """How a consumer reads and handles events. Times are in seconds."""

    group_id: Annotated[str, AfterValidator(label)] | None = None
    """The consumer group: its members share the partitions, and its offsets say what is handled. A Consumer
    needs one, here or as its argument: there is no default, so that no two services share a group by
    chance. librdkafka: ``group.id``."""

    group_protocol: Literal["classic", "consumer"] = "classic"
    """How a group shares its partitions. ``classic`` works with every Kafka, by ``cooperative-sticky``:
    members keep what stays theirs. ``consumer`` (KIP-848) needs Kafka 4 and is quicker: a member that
    joined had its partitions after 0.6 s where classic took 5 s (measured). One group, one protocol.
    librdkafka: ``group.protocol``."""

    group_instance_id: Annotated[str, AfterValidator(label)] | None = None
    """A name for this member that outlives a restart (static membership): a restart within SESSION_TIMEOUT
    moves no partition. It must differ in every process. librdkafka: ``group.instance.id``."""

    session_timeout: Annotated[float, BeforeValidator(seconds), AfterValidator(within(1, 3600, " s"))] = 45.0
    """After so many seconds without a heartbeat a member counts as dead and its partitions go to others. 45
    s as Kafka's own clients have it; a heartbeat comes every 3 s, or three times in a shorter one. With
    ``consumer`` the brokers decide. librdkafka: ``session.timeout.ms``."""

    max_poll_interval: Annotated[float, BeforeValidator(seconds), AfterValidator(within(1, DAY, " s"))] = (
        300.0
    )
    """The longest that a consumer may go without polling, in seconds. Handlers run apart from the polling,
    so a slow one does not come near it; a rebalance waits for handlers for up to half of it, and for 30 s
    at most. librdkafka: ``max.poll.interval.ms``."""

    workers: Annotated[int, AfterValidator(within(1, 10_000, ""))] = 32
    """How many events are handled at the same time: threads for sync handlers, started when needed, and
    tasks for async ones. Events of one key are handled one after another. 32 suits handlers that wait for a
    database; async handlers that only wait may have 1000."""

    handler_timeout: Annotated[float, BeforeValidator(seconds), AfterValidator(within(0.01, DAY, " s"))] = (
        60.0
    )
    """How long a handler may take for one event, in seconds. An async one is cancelled and tried again. A
    sync one cannot be: health fails, other keys go on, and its event is neither tried again nor given up
    while it runs."""

    hang_exit: Annotated[float, BeforeValidator(seconds), AfterValidator(within(0, DAY, " s"))] = 300.0
    """So many seconds after its HANDLER_TIMEOUT a sync handler that still runs ends the process with status
    70, so that its events go to another member: nothing else frees them. 0: never."""

    on_outage: Literal["pause", "letter"] = "pause"
    """What to do when a handler fails with every key in the same way, because what is behind it is away.
    ``pause``: no letters; its events wait, one is tried now and then, and health fails. ``letter``: as with
    any other failure."""

    unknown_types: Literal["skip", "letter"] = "skip"
    """What to do with events that no handler is for: ``skip`` and count them, as a topic often carries more
    than one service wants; or make each a ``letter``."""
