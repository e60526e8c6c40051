"""The catalogue: where its events go, and the wire a Go service on the other side expects."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from tidings import InvalidEvent, Publisher, Registry
from tidings.events import catalogue
from tidings.events.declare import declaration_of
from tidings.testing import InMemoryRecord, InMemoryTransport

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TOPICS = {
    "user.logged_in": "user-events",
    "user.registered": "user-events",
    "user.logged_out": "user-events",
    "user.created": "user-events",
    "user.updated": "user-events",
    "user.deleted": "user-events",
    "user.token_refreshed": "auth-events",
    "api.request": "api-events",
    "api.error": "error-events",
    "system.alert": "system-events",
    "translation.requested": "translation-events",
    "translation.completed": "translation-events",
    "translation.failed": "translation-events",
    "audit.recorded": "audit-events",
    "auth.recorded": "auth-events",
    "usage.recorded": "usage-events",
    "nobody.knows": "default-events",
}


def _published(payload: object, **settings: Any) -> InMemoryRecord:
    transport = InMemoryTransport()
    with Publisher(transport=transport, **settings) as publisher:
        publisher.publish(payload)
    return transport.records[0]


@pytest.mark.parametrize(("event_type", "topic"), TOPICS.items())
def test_where_types_go_as_classes_and_as_dicts(event_type: str, topic: str) -> None:
    transport = InMemoryTransport()
    with Publisher(transport=transport) as publisher:
        assert publisher.topic_for(event_type) == topic
        key = getattr(declaration_of(catalogue.registry.types.get(event_type, object)), "key", "id")
        publisher.publish({key: "k-1"}, event_type=event_type)
    assert transport.records[0].topic == topic


def test_every_type_is_listed() -> None:
    assert catalogue.registry.types.keys() == TOPICS.keys() - {"nobody.knows"}


def test_audit_and_auth_go_where_the_settings_say() -> None:
    settings = {"audit_topic": "who-did-what", "auth_topic": "logins", "usage_topic": "bills"}
    login = catalogue.AuthEvent(type="login.failure")
    assert _published(catalogue.AuditEntry(), **settings).topic == "who-did-what"
    assert _published(login, **settings).topic == "logins"
    assert _published(catalogue.UsageEvent(metric="api.calls"), **settings).topic == "bills"
    assert _published(catalogue.UserTokenRefreshed(user_id="u"), **settings).topic == "logins"
    mapped = {"topic_map": {"auth.*": "elsewhere"}}
    assert _published(login, **settings, **mapped).topic == "elsewhere"


def test_what_is_absent_is_left_out_and_what_is_false_is_not() -> None:
    record = _published(catalogue.UserLoggedIn(user_id="u-1", remember_me=False, login_time=MOMENT))
    assert record.json()["data"] == {
        "user_id": "u-1",
        "remember_me": False,
        "login_time": "2026-01-02T03:04:05Z",
    }
    assert record.key == b"u-1"


def test_a_whole_login() -> None:
    login = catalogue.UserLoggedIn(
        user_id="u-1",
        email="ada@example.org",
        ip_address="10.0.0.1",
        user_agent="curl",
        login_time=MOMENT.astimezone(timezone(timedelta(hours=2))),
        session_id="s-1",
        remember_me=True,
        login_method="password",
        device_info={"os": "plan9"},
        location="Bern",
    )
    data = _published(login).json()["data"]
    assert data["email"] == "ada@example.org"
    assert data["login_time"] == "2026-01-02T03:04:05Z"
    assert data["device_info"] == {"os": "plan9"}
    assert "ada@example.org" not in repr(login)


def test_durations_are_integer_nanoseconds() -> None:
    request = catalogue.ApiRequest(
        request_id="r-1", method="GET", path="/", status_code=200, duration=timedelta(milliseconds=1.5)
    )
    assert _published(request).json()["data"]["duration"] == 1_500_000


def test_a_user_id_may_be_a_number() -> None:
    record = _published(catalogue.UserCreated(user_id=7, data={"plan": "free"}, occurred_at=MOMENT))
    assert record.json()["data"] == {
        "user_id": 7,
        "data": {"plan": "free"},
        "occurred_at": "2026-01-02T03:04:05Z",
    }
    assert record.key == b"7"


def test_audit_entries_have_ids_of_their_own() -> None:
    first, second = catalogue.AuditEntry(), catalogue.AuditEntry()
    assert first.id != second.id
    assert _published(first).key == first.id.encode()


def test_a_login_is_a_success_or_a_failure() -> None:
    with pytest.raises(InvalidEvent, match="type"):
        _published(catalogue.AuthEvent(type="login.perhaps"))  # type: ignore[arg-type]


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(InvalidEvent, match="login_time"):
        _published(catalogue.UserLoggedIn(user_id="u", login_time=datetime(2026, 1, 1)))


def test_an_application_may_have_a_type_of_the_same_name() -> None:
    registry = Registry()

    @registry.event("user.created", topic="my-users")
    class Mine(msgspec.Struct):
        name: str

    with Publisher(transport=InMemoryTransport(), registry=registry) as publisher:
        assert publisher.topic_for("user.created") == "my-users"
