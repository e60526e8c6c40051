"""UserEvents and TranslationEvents, by any repository: what they send, whom they call, what they refuse."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from tidings import (
    ConfigError,
    ConsumeError,
    Envelope,
    EventRepository,
    InvalidEvent,
    KafkaEventRepository,
    Message,
    TranslationEvents,
    UserEvents,
    decode,
)
from tidings.events.catalogue import TranslationRequested, UserCreated, UserDeleted, UserLoggedIn
from tidings.testing import EmbeddedBroker, InMemoryEventRepository


@pytest.fixture
def repository() -> Iterator[InMemoryEventRepository]:
    with InMemoryEventRepository(service="users") as repository:
        yield repository


class Notebook:
    """A repository of a user's own, that only notes."""

    def __init__(self) -> None:
        self.notes: list[Any] = []

    def send_message(self, topic: str, key: Any, value: object) -> Any:
        self.notes.append((topic, key, value))

    def subscribe(self, topic: str, handler: Any) -> Any:
        self.notes.append((topic, handler))

    def start_all_consumers(self) -> None: ...

    def close(self, timeout: float | None = None) -> None: ...


def test_they_need_nothing_but_the_protocol() -> None:
    notebook = Notebook()
    assert isinstance(notebook, EventRepository)
    UserEvents(notebook, "people").produce_user_event("user.created", 7, "a@example.org", correlation_id="c")
    ((topic, key, envelope),) = notebook.notes
    assert (topic, key) == ("people", 7)
    assert (envelope.event_type, envelope.correlation_id) == ("user.created", "c")
    assert envelope.data.email == "a@example.org"


def test_what_is_sent_is_tidings_own_envelope_and_can_be_found(repository: InMemoryEventRepository) -> None:
    users = UserEvents(repository)
    delivery = users.produce_user_event("user.updated", "u-1", data={"plan": "paid"})
    delivery.wait(10)
    (record,) = repository.transport.records
    envelope = decode(record.value, record.headers, data_type=dict)
    assert (record.topic, record.key) == ("user-events", b"u-1")
    assert (envelope.event_type, envelope.source, envelope.event_id) == (
        "user.updated",
        "users",
        delivery.event_id,
    )
    assert envelope.data.keys() == {"user_id", "data", "occurred_at"}  # what is None is left out
    assert repository.publisher.find(delivery.event_id).place == "delivered"


def test_a_topic_may_be_a_logical_name() -> None:
    with InMemoryEventRepository(topics={"user-events": "prod.users"}) as repository:
        UserEvents(repository).produce_user_event("user.deleted", 1).wait(10)
        assert repository.transport.records[0].topic == "prod.users"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("user.gone", 1), "'user.gone' is none of user.created, user.updated, user.deleted"),
        ((["user.created"], 1), "is none of"),
        (("user.created", None), "user.created needs a user_id"),
        (("user.created", ""), "user.created needs a user_id"),
        (("user.created", True), "user_id"),
        (("user.created", [1]), "user_id"),
        (("user.created", 1, 5), r"Expected `str \| null`, got `int` - at `\$.email`"),
        (("user.created", 1, None, ["no", "map"]), "data"),
        (("user.created", 1, None, {"x": object()}), "object"),
        (("user.created", 1, None, {"x": float("nan")}), "data"),
    ],
)
def test_users_that_are_none_are_refused(
    repository: InMemoryEventRepository, values: tuple[Any, ...], said: str
) -> None:
    with pytest.raises(InvalidEvent, match=said):
        UserEvents(repository).produce_user_event(*values)
    assert not repository.sent()
    assert repository.publisher.stats().accepted == 0


@pytest.mark.parametrize(
    ("type", "fields", "said"),
    [
        ("translation.requested", {"source_text": "a"}, "missing required field `source_language`"),
        ("translation.completed", {}, "missing required field `translated_text`"),
        ("translation.completed", {"translated_text": "a", "error_code": "E"}, "has no error_code"),
        ("translation.failed", {"translated_text": "a"}, "has no translated_text"),
        (
            "translation.lost",
            {},
            "is none of translation.requested, translation.completed, translation.failed",
        ),
    ],
)
def test_translations_that_are_none_are_refused(
    repository: InMemoryEventRepository, type: str, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidEvent, match=said):
        TranslationEvents(repository).produce_translation_event(type, "t-1", **fields)
    with pytest.raises(InvalidEvent, match="needs a translation_id"):
        TranslationEvents(repository).produce_translation_event("translation.failed", "")


class Plan(msgspec.Struct):
    """A class of the application's own, for all three."""

    user_id: int | str
    data: dict[str, Any] | None = None


def test_a_class_of_ones_own_gets_every_type_and_what_it_cannot_read_becomes_a_letter(
    repository: InMemoryEventRepository,
) -> None:
    seen: list[Any] = []

    async def take(message: Message[Plan]) -> None:
        seen.append((message.event_type, message.data))

    users = UserEvents(repository)
    users.consume_user_events(take)
    repository.start_all_consumers()
    users.produce_user_event("user.created", 1, data={"plan": "free"})
    users.produce_user_event("user.deleted", 1)
    broken = Envelope(data={"user_id": [], "data": {"password": "x"}}, event_type="user.updated")
    repository.send_message("user-events", "1", broken)
    repository.send_message("user-events", "1", Envelope(data={}, event_type="user.logged_in"))
    repository.send_message("user-events", "1", b"no json")
    repository.wait_until_idle()
    assert seen == [
        ("user.created", Plan(user_id=1, data={"plan": "free"})),
        ("user.deleted", Plan(user_id=1)),
    ]
    letters = repository.sent("dead-letters")
    assert sorted(letter["error_code"] for letter in letters) == ["KAFKA_REJECTED", "KAFKA_UNDECODABLE"]
    assert repository.manager.stats()["in-memory"].retried == 0


def no_annotation(event): ...  # type: ignore[no-untyped-def]


def created(user: UserCreated) -> None: ...


def created_too(user: Message[UserCreated]) -> None: ...


async def deleted(user: UserDeleted) -> None: ...


def logged_in(user: UserLoggedIn) -> None: ...


def anything(data: dict[str, Any]) -> None: ...


def everything(message: Message) -> None: ...  # type: ignore[type-arg]


@pytest.mark.parametrize(
    ("handlers", "said"),
    [
        ((), "one handler at least"),
        ((no_annotation,), "annotate event"),
        ((created, created_too), "both for 'user.created'"),
        ((created, deleted), "make them alike"),
        ((logged_in,), "'user.logged_in', which is none of"),
        ((anything, everything), "both for every type"),
        ((7,), "no function"),
    ],
)
def test_handlers_that_do_not_fit_are_told_at_once(
    repository: InMemoryEventRepository, handlers: tuple[Callable[[Any], Any], ...], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        UserEvents(repository).consume_user_events(*handlers)


def test_there_is_one_call_and_it_comes_before_the_start(repository: InMemoryEventRepository) -> None:
    users, translations = UserEvents(repository), TranslationEvents(repository)

    def requested(asked: TranslationRequested) -> None: ...

    users.consume_user_events(created)
    with pytest.raises(ConfigError, match="both for the topic 'user-events'"):
        users.consume_user_events(anything)
    repository.start_all_consumers()
    with pytest.raises(ConfigError, match="too late"):
        translations.consume_translation_events(requested)


def test_idle_is_after_all_that_followed(repository: InMemoryEventRepository) -> None:
    seen: list[int] = []

    def count_down(number: int) -> None:
        seen.append(number)
        if number:
            repository.send_message("numbers", str(number), number - 1)

    repository.subscribe("numbers", count_down)
    with pytest.raises(ConsumeError, match="was not called"):
        repository.wait_until_idle()
    repository.start_all_consumers()
    for _ in range(3):
        repository.send_message("numbers", None, 20)
        repository.wait_until_idle()
        assert seen == list(range(20, -1, -1))
        seen.clear()
    repository.transport.down()
    repository.send_message("numbers", None, 0)
    with pytest.raises(TimeoutError, match="1 messages that are not delivered"):
        repository.wait_until_idle(0.05)
    repository.transport.up()
    repository.wait_until_idle()
    assert seen == [0]


def test_idle_in_a_coroutine() -> None:
    seen: list[Any] = []

    async def take(data: dict[str, Any]) -> None:
        seen.append((data, asyncio.get_running_loop()))

    async def main() -> None:
        async with InMemoryEventRepository() as repository:
            repository.subscribe("things", take)
            await repository.astart_all_consumers()
            await repository.send_message("things", None, {"n": 1})
            await repository.await_until_idle()
            assert seen == [({"n": 1}, asyncio.get_running_loop())]

    asyncio.run(main())


def test_repositories_on_one_transport_share_the_work_of_a_group() -> None:
    seen: list[int] = []

    def take(number: int) -> None:
        seen.append(number)

    with InMemoryEventRepository() as first, InMemoryEventRepository(first.transport) as second:
        for each in (first, second):
            each.subscribe("numbers", take)
            each.start_all_consumers()
        for number in range(50):
            second.send_message("numbers", str(number), number)
        second.wait_until_idle()
    assert sorted(seen) == list(range(50))


def test_settings_come_from_yaml_and_from_the_environment(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmbeddedBroker(topics={"people": 1}) as broker:
        file = tmp_path / "kafka.yaml"
        file.write_text(
            f"KAFKA:\n  BROKERS: [{broker.bootstrap_servers}]\n  GROUP_ID: g\n  DURABILITY: memory\n"
            "  TOPICS: {user-events: people}\n"
        )
        with KafkaEventRepository.from_yaml(file) as repository:
            receipt = UserEvents(repository).produce_user_event("user.created", 1).wait(60)
            assert receipt.topic == "people"
            UserEvents(repository).consume_user_events(anything)
            assert list(repository.manager.consumers) == ["g"]
        monkeypatch.setenv("KAFKA_BROKERS", broker.bootstrap_servers)
        with KafkaEventRepository.from_env(durability="memory") as repository:
            assert UserEvents(repository, "people").produce_user_event("user.created", 1).wait(60)
            with pytest.raises(ConfigError, match="group"):
                UserEvents(repository).consume_user_events(anything)
