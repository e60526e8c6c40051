"""Which rows a relay may take: the pure part, and leases on a table that several relays play on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import MetaData, create_engine
from sqlalchemy.pool import StaticPool

from tidings.outbox import outbox_table
from tidings.outbox.choosing import Candidate, in_order, that_fit
from tidings.outbox.rows import Row, Rows

_LEASE = 10.0

candidates = st.lists(st.tuples(st.sampled_from([None, 1, 2, 3]), st.integers(0, 100)), max_size=20).map(
    lambda rows: [
        Candidate(number, lane, f"topic-{lane}", size) for number, (lane, size) in enumerate(rows, 1)
    ]
)


@given(candidates, st.data())
def test_of_each_lane_what_is_kept_is_its_beginning(could: list[Candidate], data: st.DataObject) -> None:
    got = set(data.draw(st.lists(st.sampled_from([it.id for it in could])))) if could else set()
    kept = in_order(could, got)
    assert kept == sorted(kept)
    assert set(kept) <= got
    for lane in {it.lane for it in could}:
        numbers = [it.id for it in could if it.lane == lane]
        of_lane = [number for number in kept if number in numbers]
        if lane is None:
            assert of_lane == [number for number in numbers if number in got]
        else:
            assert of_lane == numbers[: len(of_lane)]
            assert len(of_lane) == len(numbers) or numbers[len(of_lane)] not in got


@given(
    candidates, st.integers(1, 5), st.integers(0, 200), st.dictionaries(st.just("topic-1"), st.integers(0, 6))
)
def test_what_fits_is_bounded_and_the_beginning_of_each_lane(
    could: list[Candidate], most: int, most_bytes: int, under_way: dict[str, int]
) -> None:
    chosen = that_fit(could, under_way, most, most_bytes)
    assert len(chosen) <= 1 or sum(it.size for it in chosen) <= most_bytes
    assert chosen or not could or all(under_way.get(it.topic, 0) >= most for it in could) or most_bytes < 100
    for topic in {it.topic for it in could}:
        of_topic = [it for it in chosen if it.topic == topic]
        assert len(of_topic) <= max(0, most - under_way.get(topic, 0))
        assert of_topic == [it for it in could if it.topic == topic][: len(of_topic)]


class OneConnection:
    """A database in memory, with a clock that stands until it is moved."""

    dialect = "sqlite"
    errors: tuple[type[Exception], ...] = (sqlite3.Error,)

    def __init__(self) -> None:
        engine = create_engine("sqlite://", poolclass=StaticPool)
        metadata = MetaData()
        outbox_table(metadata)
        metadata.create_all(engine)
        self.engine = engine
        self.raw: Any = engine.raw_connection().driver_connection

    @contextmanager
    def connection(self) -> Iterator[Any]:
        yield self.raw

    def listener(self) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        self.engine.dispose()


class Player(msgspec.Struct, eq=False):
    """A relay, a step at a time: what it saw, what it holds and has not published, and what it published."""

    name: str
    seen: list[Candidate] = []
    held: list[Row] = []
    published: list[Row] = []


class Relays(RuleBasedStateMachine):
    """Three relays that look, take, publish, fail, stand still and die in any order, and one table."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000_000.0
        self.database = OneConnection()
        self.rows = Rows(self.database, "tidings_outbox", clock=lambda: self.now)
        self.players = [Player(f"relay-{number}") for number in range(3)]
        self.log: list[tuple[int | None, int]] = []
        self.added: set[int] = set()
        self.leases: dict[int, tuple[str, float]] = {}

    @rule(lanes=st.lists(st.sampled_from([1, 1, 2, None]), min_size=1, max_size=4))
    def add(self, lanes: list[int | None]) -> None:
        for lane in lanes:
            cursor = self.database.raw.execute(
                "INSERT INTO tidings_outbox (event_id, topic, value, headers, lane, created_at) "
                "VALUES ('e', 't', x'00', '[]', ?, 0)",
                [lane],
            )
            self.added.add(cursor.lastrowid)

    @rule(data=st.data(), limit=st.integers(1, 4))
    def look(self, data: st.DataObject, limit: int) -> None:
        """What it takes later may be another's by then."""
        self.one_of(data, lambda _: True).seen = self.rows.candidates(limit)

    @precondition(lambda self: any(it.seen for it in self.idle()))
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        player = self.one_of(data, lambda it: it.seen and it in self.idle())
        self.taken(player, player.seen)
        player.seen = []

    @precondition(lambda self: self.idle())
    @rule(data=st.data(), limit=st.integers(1, 4), count=st.integers(0, 4))
    def work(self, data: st.DataObject, limit: int, count: int) -> None:
        """Look, take and publish in one go, as relays do as a rule."""
        player = self.one_of(data, lambda it: it in self.idle())
        self.taken(player, self.rows.candidates(limit))
        self.published(player, count)

    @precondition(lambda self: any(it.held for it in self.players))
    @rule(data=st.data(), count=st.integers(1, 4))
    def publish(self, data: st.DataObject, count: int) -> None:
        self.published(self.one_of(data, lambda it: it.held), count)

    @precondition(lambda self: any(it.held for it in self.players))
    @rule(data=st.data(), pause=st.sampled_from([0.0, 5.0]))
    def fail(self, data: st.DataObject, pause: float) -> None:
        """The next row cannot go, nor what is behind it of its lane."""
        player = self.one_of(data, lambda it: it.held)
        first, *rest = player.held
        behind = [row for row in rest if row.lane is not None and row.lane == first.lane]
        self.rows.put_back([row.id for row in behind], player.name, 0)
        self.rows.put_back([first.id], player.name, pause, "away")
        self.let_go(player, [first.id, *(row.id for row in behind)])
        player.held = [row for row in rest if row not in behind]

    @precondition(lambda self: any(it.published for it in self.players))
    @rule(data=st.data(), keep=st.booleans())
    def finish(self, data: st.DataObject, keep: bool) -> None:
        player = self.one_of(data, lambda it: it.published)
        some = data.draw(st.lists(st.sampled_from([row.id for row in player.published]), unique=True))
        self.rows.finish(some, player.name, keep=keep)
        self.let_go(player, some)
        player.published = [row for row in player.published if row.id not in some]

    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        player = self.one_of(data, lambda _: True)
        numbers = [row.id for row in player.held + player.published]
        self.rows.renew(numbers, player.name, _LEASE)
        for number in numbers:
            if self.leases[number][0] == player.name:
                self.leases[number] = player.name, self.now + _LEASE

    @rule(who=st.integers(0, 2))
    def die(self, who: int) -> None:
        """Its successor knows nothing, and has another name."""
        self.players[who] = Player(f"{self.players[who].name}+")

    def idle(self) -> list[Player]:
        return [it for it in self.players if not it.held and not it.published]

    def one_of(self, data: st.DataObject, fits: Callable[[Player], object]) -> Player:
        fitting = [number for number, it in enumerate(self.players) if fits(it)]
        return self.players[data.draw(st.sampled_from(fitting))]

    def taken(self, player: Player, seen: list[Candidate]) -> None:
        player.held = self.rows.take(seen, player.name, _LEASE)
        for row in player.held:
            assert self.leases.get(row.id, ("", 0.0))[1] <= self.now, "another has it under a lease"
            self.leases[row.id] = player.name, self.now + _LEASE

    def let_go(self, player: Player, numbers: list[int]) -> None:
        for number in numbers:
            if self.leases[number][0] == player.name:
                self.leases[number] = "", 0.0

    def published(self, player: Player, count: int) -> None:
        now, player.held = player.held[:count], player.held[count:]
        self.log += [(row.lane, row.id) for row in now]
        player.published += now

    @rule(seconds=st.sampled_from([1.0, 4.0, _LEASE + 1]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def first_publications_are_in_order(self) -> None:
        firsts = list(dict.fromkeys(self.log))
        for lane in (1, 2):
            numbers = [number for of, number in firsts if of == lane]
            assert numbers == sorted(numbers)

    def teardown(self) -> None:
        """Whatever happened: one relay that lives publishes the rest, and nothing is left out."""
        self.now += 10 * _LEASE
        for _ in range(len(self.added) + 1):
            taken = self.rows.take(self.rows.candidates(100), "last", _LEASE)
            self.log += [(row.lane, row.id) for row in taken]
            self.rows.finish([row.id for row in taken], "last", keep=False)
        assert self.rows.waiting()[0] == 0
        assert {number for _, number in self.log} == self.added
        self.first_publications_are_in_order()
        self.database.close()


TestRelays = Relays.TestCase
TestRelays.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
