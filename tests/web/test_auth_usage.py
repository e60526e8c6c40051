"""Auth and usage events: what they say, of whichever request, and that they break nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from support.asgi import environ, scope
from support.ids import named
from tidings import Publisher, PublishError, correlation
from tidings.events.catalogue import AuthEvent, UsageEvent
from tidings.publishing.senders import InMemorySender
from tidings.testing import InMemoryTransport
from tidings.web.auth import AuthEvents
from tidings.web.kafka import auth_sender, usage_sender
from tidings.web.usage import UsageEvents

HEADERS = [(b"user-agent", b"curl/8"), (b"x-forwarded-for", b"1.2.3.4")]


@pytest.fixture
def sender() -> InMemorySender:
    return InMemorySender()


def requests() -> dict[str, Any]:
    from django.core.handlers.wsgi import WSGIRequest
    from flask import Request as FlaskRequest
    from starlette.requests import Request as StarletteRequest

    asgi = scope("/login", "POST", HEADERS)
    wsgi = environ("/login", "POST", HTTP_USER_AGENT="curl/8", HTTP_X_FORWARDED_FOR="1.2.3.4")
    return {
        "scope": asgi,
        "environ": wsgi,
        "Starlette": StarletteRequest(asgi),
        "Flask": FlaskRequest(wsgi),
        "Django": WSGIRequest(wsgi),
    }


@pytest.mark.parametrize("kind", ["scope", "environ", "Starlette", "Flask", "Django"])
@pytest.mark.parametrize(("trusted", "client"), [((), "203.0.113.9"), (("203.0.113.0/24",), "1.2.3.4")])
def test_a_request_of_any_kind(
    django_site: Any, sender: InMemorySender, kind: str, trusted: Any, client: str
) -> None:
    AuthEvents(sender, "shop", trusted_proxies=trusted).login_succeeded("ann", request=requests()[kind])
    (event,) = sender.values
    assert isinstance(event, AuthEvent)
    assert (event.service_name, event.type, event.subject) == ("shop", "login.success", "ann")
    assert (event.path, event.user_agent, event.remote_addr) == ("/login", "curl/8", client)


def test_what_is_no_request_is_a_mistake_of_the_programmer(sender: InMemorySender) -> None:
    with pytest.raises(TypeError, match="no request"):
        AuthEvents(sender).login_failed("ann", request=object())


def test_every_occasion(sender: InMemorySender) -> None:
    auth = AuthEvents(sender)
    auth.login_succeeded(7)
    auth.login_failed(error="wrong password\nCRITICAL forged")
    auth.access_granted("ann", resource="/a", tenant_id="acme")
    auth.access_denied("ann", resource="/b", error="no role")
    auth.logged_out("ann")
    auth.token_issued("ann", jti="t-1")
    auth.token_refreshed("ann", jti="t-2")
    auth.token_revoked("ann", jti="t-2")
    events = [event for event in sender.values if isinstance(event, AuthEvent)]
    assert [event.type for event in events] == [
        "login.success",
        "login.failure",
        "access.granted",
        "access.denied",
        "logout",
        "token.issued",
        "token.refreshed",
        "token.revoked",
    ]
    assert events[0].subject == "7"
    assert events[1].error == "wrong password\\nCRITICAL forged"
    assert (events[2].resource, events[2].tenant_id, events[5].jti) == ("/a", "acme", "t-1")
    assert [key for key, _ in sender.sent] == [event.id for event in events]


def test_usage(sender: InMemorySender) -> None:
    usage = UsageEvents(sender, "shop")
    usage.record("api.calls", request=scope("/orders"))
    usage.record(
        "storage", 2.5, unit="GB", subject=7, tenant_id="acme", resource="r", metadata={"a": 1}, id="u-1"
    )
    first, second = sender.values
    assert isinstance(first, UsageEvent)
    assert isinstance(second, UsageEvent)
    assert (first.metric, first.quantity, first.resource, first.service) == (
        "api.calls",
        1,
        "/orders",
        "shop",
    )
    assert (second.id, second.quantity, second.unit, second.subject) == ("u-1", 2.5, "GB", "7")
    assert (second.tenant_id, second.resource, second.metadata) == ("acme", "r", {"a": 1})


@pytest.mark.parametrize("make", [AuthEvents, UsageEvents])
def test_a_sender_that_fails_breaks_nothing(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(InMemorySender):
        def send(self, key: Any, value: object) -> None:
            raise PublishError("No room.")

    events = make(Failing())
    for _ in range(3):
        assert (events.logged_out if make is AuthEvents else events.record)("x") is None
    assert events.failed == 3
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"quantity": "3"},
        {"quantity": None},
        {"quantity": True},
        {"quantity": float("nan")},
        {"metric": None},
        {"id": 7},
        {"metadata": [1]},
        {"metadata": {"a": object()}},
    ],
    ids=named,
)
def test_usage_that_nobody_could_read_is_not_sent(
    sender: InMemorySender, wrong: Any, caplog: pytest.LogCaptureFixture
) -> None:
    usage = UsageEvents(sender, "shop")
    assert usage.record(**{"metric": "api.calls"} | wrong) is None
    assert (sender.values, usage.failed) == ([], 1)
    assert "KAFKA_INVALID_EVENT" in caplog.text


def test_an_auth_event_of_no_known_type_is_not_sent(sender: InMemorySender) -> None:
    auth = AuthEvents(sender)
    assert auth.record("login.sucess", "ann") is None  # type: ignore[arg-type]
    assert (sender.values, auth.failed) == ([], 1)


def test_they_go_to_their_topics_with_the_correlation_id() -> None:
    transport = InMemoryTransport()
    with Publisher(transport=transport, usage_topic="bills") as publisher, correlation("c-1"):
        delivery = AuthEvents(auth_sender(publisher)).login_succeeded("ann")
        UsageEvents(usage_sender(publisher)).record("api.calls")
    assert delivery is not None
    assert asyncio.run(_receipt(delivery)).topic == "auth-events"
    assert [record.topic for record in transport.records] == ["auth-events", "bills"]
    for record in transport.records:
        assert dict(record.headers)["correlation_id"] == b"c-1"
        assert record.json()["correlation_id"] == "c-1"
        assert record.key == record.json()["id"].encode() == dict(record.headers)["event_id"]


async def _receipt(delivery: Any) -> Any:
    return await delivery
