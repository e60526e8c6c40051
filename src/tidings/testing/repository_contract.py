"""The contract every EventRepository keeps, as tests: one suite for memory, embedded broker and real Kafka.

class TestMine(EventRepositoryContract):
    @pytest.fixture
    def make(self):
        return MyRepository     # called with settings; all of them on one Kafka, and of one group

    @pytest.fixture
    def new_topic(self):
        return my_unique_topic
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from tidings import (
    ConfigError,
    Envelope,
    EventRepository,
    InvalidEvent,
    InvalidTopic,
    Message,
    PublisherClosed,
    TranslationEvents,
    UserEvents,
    correlation,
)
from tidings.events.catalogue import UserCreated, UserDeleted

_WAIT = 60.0
"""Seconds any single wait of this suite may take."""
Make = Callable[..., Any]
NewTopic = Callable[[], str]


class EventRepositoryContract:
    """What holds of every repository. A subclass gives the fixtures ``make`` and ``new_topic``."""

    @pytest.fixture
    def repository(self, make: Make) -> Iterator[EventRepository]:
        with closing(make()) as repository:
            yield repository

    @pytest.fixture
    def topic(self, new_topic: NewTopic) -> str:
        return new_topic()

    # -- messages

    def test_it_is_one(self, repository: EventRepository) -> None:
        assert isinstance(repository, EventRepository)

    @pytest.mark.parametrize("is_async", [False, True])
    def test_bytes_json_and_envelopes_arrive_as_they_were_sent_before_the_start_and_after(
        self, repository: EventRepository, topic: str, is_async: bool
    ) -> None:
        seen: list[Message[Any]] = []

        def take(message: Message) -> None:  # type: ignore[type-arg]
            seen.append(message)

        async def take_async(message: Message) -> None:  # type: ignore[type-arg]
            seen.append(message)

        repository.subscribe(topic, take_async if is_async else take)
        repository.send_message(topic, "k", b'"bytes"').wait(_WAIT)
        repository.start_all_consumers()
        repository.send_message(topic, "k", {"json": [1, None]})
        envelope = Envelope(data=UserCreated(user_id=7), event_type="user.created", correlation_id="c")
        sent = repository.send_message(topic, "k", envelope).wait(_WAIT)
        assert _eventually(lambda: len(seen) == 3)
        assert [message.value for message in seen[:2]] == [b'"bytes"', b'{"json":[1,null]}']
        event = seen[2]
        assert (event.event_id, event.event_type, event.correlation_id) == (
            sent.event_id,
            "user.created",
            "c",
        )
        assert event.data["user_id"] == 7
        assert {message.key for message in seen} == {b"k"}

    def test_messages_of_a_key_keep_their_order_and_topics_their_handlers(
        self, repository: EventRepository, new_topic: NewTopic
    ) -> None:
        topics = [new_topic(), new_topic()]
        seen: dict[str, dict[bytes | None, list[int]]] = {topic: {} for topic in topics}
        for topic in topics:

            def take(message: Message, mine: dict[bytes | None, list[int]] = seen[topic]) -> None:  # type: ignore[type-arg]
                mine.setdefault(message.key, []).append(message.data)

            repository.subscribe(topic, take)
        repository.start_all_consumers()
        for number in range(100):
            repository.send_message(topics[number % 2], f"k-{number % 10}", number)
        assert _eventually(lambda: sum(len(it) for mine in seen.values() for it in mine.values()) == 100)
        for at, topic in enumerate(topics):
            expected = {f"k-{k}".encode(): list(range(k, 100, 10)) for k in range(at, 10, 2)}
            assert seen[topic] == expected

    def test_what_fails_is_tried_again_and_what_a_handler_sends_carries_the_correlation_id(
        self, repository: EventRepository, new_topic: NewTopic
    ) -> None:
        source, target = new_topic(), new_topic()
        attempts: list[int] = []
        seen: list[Message[Any]] = []
        done = threading.Event()

        def pass_on(message: Message) -> None:  # type: ignore[type-arg]
            attempts.append(message.attempt)
            if message.attempt == 1:
                raise RuntimeError("not yet")
            repository.send_message(target, message.key, Envelope(data={}, event_type="passed.on"))

        def take(message: Message) -> None:  # type: ignore[type-arg]
            seen.append(message)
            done.set()

        repository.subscribe(source, pass_on)
        repository.subscribe(target, take)
        repository.start_all_consumers()
        with correlation("request-1"):
            repository.send_message(source, "k", Envelope(data={}, event_type="to.pass"))
        assert done.wait(_WAIT)
        assert attempts == [1, 2]
        assert (seen[0].key, seen[0].correlation_id) == (b"k", "request-1")

    # -- use cases

    def test_user_events_reach_the_handlers_of_their_types(
        self, repository: EventRepository, topic: str
    ) -> None:
        users = UserEvents(repository, topic)
        seen: list[Any] = []

        def created(user: UserCreated) -> None:
            seen.append(user)

        def deleted(message: Message[UserDeleted]) -> None:
            seen.append(message.data)

        def rest(data: dict[str, Any]) -> None:
            seen.append(data)

        users.consume_user_events(created, deleted, rest)
        repository.start_all_consumers()
        repository.send_message(topic, "7", {"something": "else"})
        users.produce_user_event("user.created", 7, "ada@example.org", {"plan": "free"})
        users.produce_user_event("user.updated", 7, data={"plan": "paid"})
        users.produce_user_event("user.deleted", 7)
        assert _eventually(lambda: len(seen) == 3)
        first, second, third = seen
        assert isinstance(first, UserCreated)
        assert (first.user_id, first.email, first.data) == (7, "ada@example.org", {"plan": "free"})
        assert (second["user_id"], second["data"]) == (7, {"plan": "paid"})
        assert isinstance(third, UserDeleted)

    def test_a_service_pair_of_translations(self, repository: EventRepository, topic: str) -> None:
        translations = TranslationEvents(repository, topic)
        seen: list[Message[Any]] = []

        async def translate(message: Message) -> None:  # type: ignore[type-arg]
            if message.event_type == "translation.requested":
                asked = message.data
                await translations.produce_translation_event(
                    "translation.completed",
                    asked["translation_id"],
                    translated_text=asked["source_text"].upper(),
                )
            else:
                seen.append(message)

        translations.consume_translation_events(translate)
        repository.start_all_consumers()
        translations.produce_translation_event(
            "translation.requested",
            "t-1",
            source_language="en",
            target_language="de",
            source_text="text",
            correlation_id="request-2",
        )
        assert _eventually(lambda: len(seen) == 1)
        assert (seen[0].event_type, seen[0].key, seen[0].correlation_id) == (
            "translation.completed",
            b"t-1",
            "request-2",
        )
        assert seen[0].data["translated_text"] == "TEXT"

    # -- bad input, and the end

    def test_bad_input_is_told_at_once(self, repository: EventRepository, topic: str) -> None:
        def take(data: Any) -> None: ...

        def without(data): ...  # type: ignore[no-untyped-def]

        with pytest.raises(ConfigError, match="subscribe"):
            repository.start_all_consumers()
        for name in ("", "a b", "x" * 250, None):
            with pytest.raises(ConfigError):
                repository.subscribe(name, take)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="annotate"):
            repository.subscribe(topic, without)
        repository.subscribe(topic, take)
        with pytest.raises(ConfigError, match="both for the topic"):
            repository.subscribe(topic, take)
        with pytest.raises(InvalidTopic):
            repository.send_message("a b", None, b"x")
        for value in (object(), {"number": float("nan")}, {"text": "\ud800"}):
            with pytest.raises(InvalidEvent):
                repository.send_message(topic, None, value)
        with pytest.raises(InvalidEvent, match="key"):
            repository.send_message(topic, 1.5, b"x")  # type: ignore[arg-type]
        with pytest.raises(InvalidEvent):
            repository.send_message(topic, "k", Envelope(data={}, event_type=""))
        repository.start_all_consumers()
        with pytest.raises(ConfigError, match="started"):
            repository.start_all_consumers()
        with pytest.raises(ConfigError, match="started"):
            repository.subscribe(f"{topic}-late", take)

    def test_closing_delivers_and_is_the_end(self, make: Make, topic: str) -> None:
        seen: list[int] = []

        def take(number: Any) -> None:
            seen.append(number)

        with closing(make()) as first:
            for number in range(100):
                first.send_message(topic, str(number), number)
        with pytest.raises(PublisherClosed):
            first.send_message(topic, "k", 1)
        with pytest.raises(ConfigError):
            first.subscribe(topic, take)
        second = make()
        second.subscribe(topic, take)
        second.start_all_consumers()
        assert _eventually(lambda: len(seen) == 100)
        second.close()
        second.close()
        assert sorted(seen) == list(range(100))


def _eventually(true: Callable[[], bool]) -> bool:
    end = time.monotonic() + _WAIT
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True
