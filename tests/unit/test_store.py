"""A publisher with a store: what Kafka does not take is on disk, and is sent when it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.books import LONG, check_books, check_closed, ids_of, settle
from support.events import OrderPlaced
from support.processes import wait_until
from tidings import (
    DeadLetter,
    DeliveryError,
    HealthStatus,
    Publisher,
    Replay,
    State,
    StoreFull,
    StoreUnavailable,
)
from tidings.letters.journal import Journal
from tidings.testing.memory import InMemoryRecord, InMemoryTransport

MODES = ["spill", "write-ahead"]
Make = Callable[..., Publisher]


@pytest.fixture
def make(transport: InMemoryTransport, tmp_path: Path) -> Iterator[Make]:
    """Makes publishers with a store in ``tmp_path``, quick to store and to see an outage."""
    made: list[Publisher] = []

    def one(**overrides: Any) -> Publisher:
        given = {
            "transport": transport,
            "service": "tests",
            "durability": "spill",
            "store_dir": tmp_path,
            "store_after": "100ms",
            "outage_after": "200ms",
            "retry_backoff": "1ms",
            "retry_max": 2,
            **overrides,
        }
        made.append(Publisher(**given))
        return made[-1]

    yield one
    for publisher in made:
        check_closed(publisher, 5)


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("*.journal"))


def at_rest(publisher: Publisher, **terms: int) -> bool:
    """Whether the counters come to this; whatever is not named is not looked at."""
    return wait_until(lambda: all(getattr(publisher.stats(), name) == count for name, count in terms.items()))


@pytest.mark.parametrize("mode", MODES)
def test_an_outage_fills_the_store_and_its_end_empties_it(
    make: Make, transport: InMemoryTransport, mode: str
) -> None:
    publisher = make(durability=mode)
    publisher.publish(OrderPlaced("before")).wait(LONG)
    transport.down()
    first = [publisher.publish(OrderPlaced("o", n)) for n in range(50)]
    assert first[-1].wait(LONG).state is State.STORED
    assert wait_until(lambda: "orders" in publisher.stats().breakers)
    later = [publisher.publish(OrderPlaced("o", n)) for n in range(50, 100)]
    later[-1].wait_safe(LONG)
    assert at_rest(publisher, stored=50, in_flight=50), "the client has the first, the disk the others"
    health = publisher.health()
    assert (health.status, health.ready, bool(health)) == (HealthStatus.DEGRADED, True, False)
    assert not publisher.flush(0.05), "stored is not ended"
    check_books(publisher)
    transport.up()
    assert settle(publisher).delivered == 101
    assert wait_until(lambda: publisher.health().ok)
    totals = [event["data"]["total"] for event in transport.events("orders")]
    assert totals == [0, *range(100)], "in the order they were accepted"
    assert publisher.stats().retried == 0, "nobody was sent twice"


def test_a_healthy_kafka_costs_no_write(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    commits: list[int] = []
    commit = Journal.commit

    def counted(self: Journal, *args: Any) -> None:
        commits.append(1)
        commit(self, *args)

    monkeypatch.setattr(Journal, "commit", counted)
    publisher = make()
    for n in range(100):
        publisher.publish(OrderPlaced("o", n))
    settle(publisher)
    check_closed(publisher)
    assert not commits


def test_write_ahead_is_on_disk_before_it_is_produced(make: Make, transport: InMemoryTransport) -> None:
    publisher = make(durability="write-ahead")
    transport.down()
    delivery = publisher.publish(OrderPlaced("o"))
    delivery.wait_safe(LONG)
    assert delivery.on_disk
    assert publisher.find(delivery.event_id).place in {"in_flight", "stored"}

    async def safe() -> None:
        await asyncio.wait_for(publisher.publish(OrderPlaced("p")).safe(), LONG)

    asyncio.run(safe())
    transport.up()
    settle(publisher)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_left_at_close_is_stored_and_adopted_by_the_next(
    make: Make, transport: InMemoryTransport, tmp_path: Path, mode: str
) -> None:
    publisher = make(durability=mode)
    transport.down()
    sent = [publisher.publish(OrderPlaced("o", n), headers={"mine": b"\x00"}) for n in range(20)]
    report = publisher.close(0.1)
    assert (report.stored, report.lost, report.in_flight) == (20, 0, 0)
    assert len(files(tmp_path)) == 1
    assert {delivery.wait(0).state for delivery in sent} == {State.STORED}
    heir = make(durability=mode, transport=(again := InMemoryTransport()))
    heir.publish(OrderPlaced("first"))
    while (stats := heir.stats()).delivered < 21:
        assert 0 <= stats.stored <= 20
        assert stats.in_flight >= 0
    assert at_rest(heir, adopted=20, delivered=21, stored=0)
    assert ids_of(again).keys() >= {delivery.event_id for delivery in sent}
    totals = [event["data"]["total"] for event in again.events("orders") if event["data"]["order_id"] == "o"]
    assert totals == list(range(20)), "in their own order"
    (record,) = [each for each in again.records if each.json()["data"]["total"] == 7]
    assert ("mine", b"\x00") in record.headers
    assert dict(record.headers)["tidings-resent"]
    assert check_closed(heir).adopted == 20
    assert files(tmp_path) == [], "an empty store leaves no file"


def test_another_service_adopts_nothing(make: Make, transport: InMemoryTransport) -> None:
    transport.down()
    publisher = make()
    publisher.publish(OrderPlaced("o"))
    assert publisher.close(0).stored == 1
    other = make(service="another", transport=InMemoryTransport())
    other.publish(OrderPlaced("o")).wait(LONG)
    assert other.stats().adopted == 0


def test_one_bad_event_takes_no_neighbour_along(make: Make, transport: InMemoryTransport) -> None:
    """A broker's no is about a batch (ENGINE R1): each is asked for alone, one is refused."""
    transport.fail_always(
        lambda record: record.topic == "orders" and record.key == b"poison", "INVALID_RECORD"
    )
    publisher = make()
    transport.down()
    sent = [publisher.publish(OrderPlaced("poison" if n == 7 else "o", n)) for n in range(40)]
    transport.batch_fail("INVALID_RECORD")
    transport.up()
    stats = settle(publisher)
    assert (stats.delivered, stats.dead_lettered, stats.lost) == (39, 1, 0)
    assert wait_until(lambda: publisher.stats().dead_letter_queue_size == 0)
    (record,) = [each for each in transport.records if each.topic == "dead-letters"]
    letter = DeadLetter.decode(record.value)
    assert letter.event_id == sent[7].event_id
    assert (letter.topic, letter.error_code, letter.certainty) == (
        "orders",
        "INVALID_RECORD",
        "not_delivered",
    )
    assert record.key == b"poison"
    if sent[7].state is State.DEAD_LETTERED:
        with pytest.raises(DeliveryError) as raised:
            sent[7].wait(0)
        assert raised.value.letter_id == letter.letter_id
    where = publisher.find(sent[7].event_id)
    assert (where.place, where.letter_id, where.topic) == ("dead_lettered", letter.letter_id, "orders")


def test_letters_wait_in_the_store_while_their_topic_is_denied(
    make: Make, transport: InMemoryTransport
) -> None:
    transport.fail_always(lambda record: record.topic == "orders", "POLICY_VIOLATION")
    transport.fail_always(lambda record: record.topic == "dead-letters", "TOPIC_AUTHORIZATION_FAILED")
    publisher = make(retry_backoff_max="10ms")
    delivery = publisher.publish(OrderPlaced("o"))
    with pytest.raises(DeliveryError):
        delivery.wait(LONG)
    stats = settle(publisher)
    assert (stats.dead_lettered, stats.dead_letter_queue_size) == (1, 1)
    where = publisher.find(delivery.event_id)
    assert (where.place, where.reason) == ("dead_lettered", "POLICY_VIOLATION")
    transport.clear_faults()
    assert at_rest(publisher, dead_letter_queue_size=0)
    assert len([each for each in transport.records if each.topic == "dead-letters"]) == 1


def test_a_letter_that_is_refused_waits_for_a_person_who_replays_it(
    make: Make, transport: InMemoryTransport
) -> None:
    transport.fail_always(lambda record: record.topic in {"orders", "dead-letters"}, "POLICY_VIOLATION")
    publisher = make()
    delivery = publisher.publish(OrderPlaced("o", 5))
    settle(publisher)
    assert wait_until(lambda: publisher.stored_letters(parked=True)._store.letters(0, 1) != [])
    transport.clear_faults()
    plan = Replay(source=publisher.stored_letters(parked=True), publisher=publisher, all=True)
    assert plan.dry_run().matched == 1
    assert plan.run().replayed == 1
    stats = settle(publisher)
    assert (stats.dead_lettered, stats.replayed, stats.dead_letter_queue_size) == (1, 1, 0)
    (record,) = [each for each in transport.records if each.topic == "orders"]
    assert ("event_id", delivery.event_id.encode()) in record.headers
    where = publisher.find(delivery.event_id)
    assert (where.place, where.topic, where.offset) == ("delivered", "orders", record.offset)


@pytest.mark.parametrize("error", ["_MSG_TIMED_OUT", "UNKNOWN_TOPIC_OR_PART", "NOT_ENOUGH_REPLICAS"])
def test_time_and_an_operators_mistake_dead_letter_nothing(
    make: Make, transport: InMemoryTransport, error: str
) -> None:
    """However often it fails (ENGINE R2)."""
    publisher = make(retry_max=1, retry_backoff_max="5ms")
    tries: list[int] = []

    def is_ours(record: InMemoryRecord) -> bool:
        tries.append(1)
        return record.topic == "orders"

    transport.fail_always(is_ours, error)
    publisher.publish(OrderPlaced("o"))
    assert wait_until(lambda: len(tries) > 8)
    stats = publisher.stats()
    assert (stats.dead_lettered, stats.lost, stats.stored + stats.in_flight) == (0, 0, 1)
    transport.clear_faults()
    assert settle(publisher).delivered == 1


def test_a_refused_timestamp_is_left_out(make: Make, transport: InMemoryTransport) -> None:
    early = 1_000_000
    transport.fail_always(lambda record: record.timestamp == early, "INVALID_TIMESTAMP")
    publisher = make(retry_max=1)
    publisher.produce("t", b"x", timestamp=early)
    stats = settle(publisher)
    assert (stats.delivered, stats.dead_lettered) == (1, 0)
    assert transport.records[0].timestamp != early


def test_a_store_that_is_full_refuses_and_loses_nothing(make: Make, transport: InMemoryTransport) -> None:
    publisher = make(
        durability="write-ahead",
        store_max_bytes="8MiB",
        queue_bytes="2MiB",
        intake_bytes="1MiB",
        max_event_bytes=500_000,
        max_block="50ms",
    )
    transport.down()
    taken, refused = 0, 0
    while refused < 3:
        try:
            publisher.produce("t", b"x" * 100_000)
            taken += 1
        except StoreFull:
            refused += 1
        assert taken < 200
    assert publisher.health().cause == "store_full"
    assert publisher.health().status is HealthStatus.UNHEALTHY
    transport.up()
    stats = settle(publisher)
    assert (stats.delivered, stats.rejected) == (taken, 3)
    assert wait_until(lambda: publisher.health().ok)
    publisher.produce("t", b"x").wait(LONG)


class BrokenDisk:
    """Makes every commit of a journal fail, until it is mended."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.broken = False
        for name in ("commit", "touch"):
            patch.setattr(Journal, name, self._guarded(getattr(Journal, name)))

    def _guarded(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if self.broken:
                from tidings.letters.errors import JournalError

                raise JournalError("no space left", "ENOSPC")
            return work(*args, **kwargs)

        return guarded


def test_a_store_that_fails_leaves_spill_unprotected(
    make: Make,
    transport: InMemoryTransport,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    disk = BrokenDisk(monkeypatch)
    publisher = make(max_block="20ms", queue_messages=1000)
    publisher.publish(OrderPlaced("o")).wait(LONG)
    disk.broken = True
    transport.down()
    held = [publisher.publish(OrderPlaced("o", n)) for n in range(20)]
    assert wait_until(lambda: publisher.health().cause == "store_failed")
    assert publisher.health().status is HealthStatus.UNHEALTHY
    assert wait_until(lambda: bool(publisher.stats().breakers))
    with pytest.raises(StoreUnavailable, match="no space left"):
        publisher.publish(OrderPlaced("o"))
    assert publisher.stats().unprotected > 0
    transport.up()
    assert settle(publisher).delivered == 21
    assert {delivery.state for delivery in held} <= {State.DELIVERED}
    disk.broken = False
    assert wait_until(lambda: publisher.health().ok)
    critical = [record for record in caplog.records if record.levelname == "CRITICAL"]
    assert len(critical) == 1, "said once"


def test_write_ahead_refuses_while_its_store_fails(
    make: Make, transport: InMemoryTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = BrokenDisk(monkeypatch)
    publisher = make(durability="write-ahead", max_block="20ms")
    publisher.publish(OrderPlaced("o")).wait(LONG)
    disk.broken = True
    accepted = publisher.publish(OrderPlaced("taken before anybody knew"))
    assert accepted.wait(LONG).state is State.DELIVERED, "produced unprotected"
    with pytest.raises(StoreUnavailable):
        publisher.publish(OrderPlaced("o"))
    disk.broken = False
    assert wait_until(lambda: publisher.health().ok)
    publisher.publish(OrderPlaced("o")).wait(LONG)
    assert settle(publisher).delivered == 3


def test_flush_does_not_wait_for_what_was_adopted(make: Make, transport: InMemoryTransport) -> None:
    transport.down()
    left = make()
    left.produce("old", b"x")
    assert left.close(0).stored == 1
    again = InMemoryTransport()
    again.fail_always(lambda record: record.topic == "old", "UNKNOWN_TOPIC_OR_PART")
    heir = make(transport=again)
    heir.publish(OrderPlaced("o"))
    assert heir.flush(LONG)
    assert at_rest(heir, adopted=1, stored=1)
    assert heir.flush(LONG)


def test_a_queue_that_is_full_diverts(make: Make) -> None:
    small = InMemoryTransport(queue_messages=10)
    small.down()
    publisher = make(transport=small, queue_messages=10)
    sent = [publisher.publish(OrderPlaced("o", n)) for n in range(100)]
    sent[-1].wait_safe(LONG)
    small.up()
    assert settle(publisher).delivered == 100
    assert [event["data"]["total"] for event in small.events("orders")] == list(range(100))


def test_arrivals_after_an_outage_end_on_the_direct_way(make: Make, transport: InMemoryTransport) -> None:
    """Diverting ends although nobody stops publishing (ENGINE R6's liveness)."""
    publisher = make()
    transport.down()
    publisher.publish(OrderPlaced("o")).wait_safe(LONG)
    assert wait_until(lambda: bool(publisher.stats().breakers))
    for n in range(500):
        publisher.publish(OrderPlaced("o", n))
    transport.up()

    def direct() -> bool:
        for n in range(20):
            publisher.publish(OrderPlaced("o", n))
        return publisher._engine.gate.is_clear

    assert wait_until(direct)
    settle(publisher)


def test_unordered_events_do_not_wait_for_others(make: Make, transport: InMemoryTransport) -> None:
    publisher = make(ordering="none")
    transport.fail_always(lambda record: record.key == b"stuck", "_MSG_TIMED_OUT")
    publisher.produce("t", b"x", "stuck")
    assert wait_until(lambda: publisher.stats().retried > 0)
    assert publisher.produce("t", b"y", "stuck2").wait(LONG).state is State.DELIVERED
    assert publisher._engine.gate.is_clear
    transport.clear_faults()
    settle(publisher)


def test_a_dead_partition_blocks_its_keys_and_no_others(make: Make, transport: InMemoryTransport) -> None:
    """ENGINE R12: one silent partition does not open the topic's breaker."""

    class OneDead(InMemoryTransport):
        stuck: list[Any] = []  # noqa: RUF012

        def _deliver(self, taken: Any) -> None:
            if taken.key == b"dead" and self._busy:
                self.stuck.append(taken)
                self._held.append(taken)
            else:
                super()._deliver(taken)

    dead = OneDead()
    publisher = make(transport=dead)
    publisher.produce("t", b"1", "dead")

    def is_blocked() -> bool:
        publisher.produce("t", b"2", "dead")
        publisher.produce("t", b"x", "alive").wait(LONG)
        return publisher.stats().stored > 0

    assert wait_until(is_blocked)
    assert publisher.stats().breakers == {}
    assert publisher.produce("t", b"x", "alive").wait(LONG).state is State.DELIVERED
    for taken in dead.stuck:
        dead._held.remove(taken)
        InMemoryTransport._deliver(dead, taken)
    dead.stuck.clear()
    OneDead._deliver = InMemoryTransport._deliver  # type: ignore[method-assign]
    settle(publisher)


def test_events_that_waited_for_store_max_age_become_letters_while_kafka_answers(
    make: Make, transport: InMemoryTransport
) -> None:
    """Nobody mends the topic, and the store is for others too (ENGINE R7)."""
    transport.fail_always(lambda record: record.topic == "denied", "TOPIC_AUTHORIZATION_FAILED")
    publisher = make(store_max_age="1s", retry_backoff_max="10ms")
    sent = [publisher.produce("denied", b"%d" % n, "k") for n in range(30)]
    assert at_rest(publisher, dead_lettered=30, stored=0, dead_letter_queue_size=0)
    letters = [DeadLetter.decode(each.value) for each in transport.records if each.topic == "dead-letters"]
    assert [letter.value for letter in letters] == [b"%d" % n for n in range(30)]
    assert {letter.error_code for letter in letters} == {"TOPIC_AUTHORIZATION_FAILED"}
    assert "STORE_MAX_AGE" in letters[0].failure_reason
    assert {letter.event_id for letter in letters} == {delivery.event_id for delivery in sent}


def test_nothing_is_given_up_for_its_age_while_kafka_is_away(
    make: Make, transport: InMemoryTransport
) -> None:
    publisher = make(store_max_age="1s", retry_backoff_max="10ms")
    transport.down()
    publisher.produce("t", b"x").wait_safe(LONG)
    assert not wait_until(lambda: publisher.stats().dead_lettered > 0, timeout=2)
    transport.up()
    assert settle(publisher).delivered == 1


def test_one_topic_holds_half_of_the_store_at_most(make: Make, transport: InMemoryTransport) -> None:
    transport.fail_always(lambda record: record.topic == "denied", "TOPIC_AUTHORIZATION_FAILED")
    publisher = make(
        store_max_bytes="32MiB",
        queue_bytes="1MiB",
        intake_bytes="1MiB",
        max_event_bytes=100_000,
        retry_backoff_max="10ms",
        max_block=LONG,
    )
    for n in range(350):
        publisher.produce("denied", b"%03d" % n + b"x" * 50_000, "k")
        publisher.produce("fine", b"x", "k")
    assert wait_until(lambda: publisher.stats().dead_lettered > 0)
    assert publisher.produce("fine", b"y", "k").wait(LONG).state is State.DELIVERED
    stats = publisher.stats()
    assert stats.stored + stats.in_flight > 200, "the younger half still waits"
    transport.clear_faults()
    stats = settle(publisher)
    assert stats.delivered + stats.dead_lettered == 701
    assert stats.lost == 0


def test_two_publishers_share_a_directory_and_not_a_store(
    make: Make, transport: InMemoryTransport, tmp_path: Path
) -> None:
    transport.down()
    both = [make(), make()]
    for number, publisher in enumerate(both):
        publisher.publish(OrderPlaced("o", number)).wait_safe(LONG)
    assert len(files(tmp_path)) == 2
    assert [publisher.stats().adopted for publisher in both] == [0, 0], "the other one is alive"
    transport.up()
    assert [settle(publisher).delivered for publisher in both] == [1, 1]


@pytest.mark.parametrize("mode", MODES)
def test_a_callback_that_publishes_into_a_full_queue(make: Make, mode: str) -> None:
    small = InMemoryTransport(queue_messages=5)
    publisher = make(transport=small, queue_messages=5, durability=mode)
    for n in range(50):
        delivery = publisher.publish(OrderPlaced("outer", n))
        delivery.add_done_callback(lambda _: publisher.publish(OrderPlaced("inner")))
    assert at_rest(publisher, accepted=100)
    assert settle(publisher).delivered == 100


def test_a_keeper_that_stumbles_takes_everything_up_again(
    make: Make,
    transport: InMemoryTransport,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An engine thread that dies loses nothing: the entries and the journal say what it had in hand."""
    publisher = make(durability="write-ahead")
    publisher.publish(OrderPlaced("first")).wait(LONG)
    keeper = publisher._engine.keeper
    stumbles = iter([keeper._hands, keeper._letters])

    def trip(original: Callable[..., Any]) -> Callable[..., Any]:
        def tripping(*args: Any) -> Any:
            if next(stumbles, None) is not None:
                raise MemoryError("a defect")
            return original(*args)

        return tripping

    transport.down()
    for n in range(50):
        publisher.publish(OrderPlaced("o", n))
    monkeypatch.setattr(keeper._hands, "hand_over", trip(keeper._hands.hand_over))
    publisher.publish(OrderPlaced("o", 50))
    assert wait_until(lambda: keeper._deaths == 1)
    publisher.publish(OrderPlaced("o", 51))
    assert wait_until(lambda: keeper._deaths == 2)
    transport.up()
    stats = settle(publisher)
    assert (stats.delivered, stats.lost, stats.failed) == (53, 0, False)
    assert sum("the keeper stumbled" in record.message for record in caplog.records) == 2
    assert set(ids_of(transport).values()) <= {1, 2}


def test_find_says_what_it_knows(make: Make, transport: InMemoryTransport) -> None:
    publisher = make(durability="memory", store_dir=None, retry_max=1)
    delivered = publisher.publish(OrderPlaced("o"))
    transport.fail_always(lambda record: record.topic == "gone", "_MSG_TIMED_OUT")
    lost = publisher.produce("gone", b"x", event_id="my own id")
    settle(publisher)
    transport.down()
    waiting = publisher.publish(OrderPlaced("o"))
    assert publisher.find(delivered.event_id).place == "delivered"
    assert publisher.find(waiting.event_id).place == "in_flight"
    where = publisher.find(lost.event_id)
    assert (where.place, where.topic, bool(where)) == ("lost", "gone", True)
    nowhere = publisher.find("nobody's")
    assert (nowhere.place, bool(nowhere)) == ("not_found", False)
    assert "never accepted here" in nowhere.message
    transport.up()
    settle(publisher)
