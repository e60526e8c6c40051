"""Django: the middleware with sync and async views, commits, checks, TestCase."""

from __future__ import annotations

import asyncio
import json
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.asgi import aask, environ, scope
from tidings import (
    InvalidEvent,
    InvalidTopic,
    Publisher,
    PublisherClosed,
    correlation,
    current_correlation_id,
)
from tidings.testing import InMemoryTransport

BODY = json.dumps({"total": 7, "password": "hidden"}).encode()


@pytest.fixture
def kafka(django_site: Any) -> Iterator[InMemoryTransport]:
    """What Django publishes to, with no orders yet."""
    from examples.django_orders.models import Order
    from tidings.web.django import use_publisher

    transport = InMemoryTransport()
    with Publisher(transport=transport) as publisher, use_publisher(publisher):
        yield transport
    Order.objects.all().delete()


def client() -> Any:
    from django.test import Client

    return Client(raise_request_exception=False)


def post(path: str, body: bytes = BODY, headers: Any = None) -> Any:
    return client().post(path, body, content_type="application/json", headers=headers)


def asgi(path: str, method: str = "GET", body: bytes = b"") -> Any:
    from django.core.asgi import get_asgi_application

    headers = [(b"content-type", b"application/json"), (b"host", b"localhost"), (b"x-user", b"ann")]
    return asyncio.run(aask(get_asgi_application(), scope(path, method, headers), [body]))


def audited(kafka: InMemoryTransport) -> Any:
    (entry,) = kafka.events("audit-events")
    return entry


def test_a_request_and_its_event(kafka: InMemoryTransport) -> None:
    answer = post("/orders/o-1", headers={"X-Request-ID": "r-1", "X-User": "ann"})
    assert answer.status_code == 201
    assert answer.headers["X-Correlation-ID"] == answer.headers["X-Request-ID"] == "r-1"
    entry = audited(kafka)
    assert (entry["subject"], entry["tenant_id"], entry["service"]) == ("ann", "acme", "orders")
    assert (entry["endpoint"], entry["resource"]) == ("/orders/<slug:order_id>", "/orders/o-1")
    assert (entry["status_code"], entry["outcome"]) == (201, "success")
    assert entry["payload"] == {"total": 7, "password": "***"}
    (order,) = kafka.events("orders")
    assert order["data"] == {"order_id": "o-1", "total": 7}
    assert order["correlation_id"] == "r-1"
    assert current_correlation_id() is None


def test_rolled_back_means_never_published(kafka: InMemoryTransport) -> None:
    answer = post("/orders/o-1", b'{"total": -1}')
    assert answer.status_code == 409
    assert kafka.events("orders") == []
    assert audited(kafka)["outcome"] == "client_error"


def test_a_view_that_raises(kafka: InMemoryTransport) -> None:
    answer = post("/orders/o-1", b"no json")
    assert answer.status_code == 500
    entry = audited(kafka)
    assert (entry["status_code"], entry["outcome"]) == (500, "exception")


def test_what_is_excluded_and_what_is_unknown(kafka: InMemoryTransport) -> None:
    assert client().get("/livez").content == b"alive"
    assert kafka.events("audit-events") == []
    assert client().get("/nowhere").status_code == 404
    assert audited(kafka)["endpoint"] == "/nowhere"


def test_a_stream_is_recorded_at_its_end(kafka: InMemoryTransport) -> None:
    from django.test import RequestFactory

    from examples.django_orders import views
    from tidings.web.django import AuditMiddleware

    post("/orders/o-1")
    kafka.clear()
    middleware: Any = AuditMiddleware(views.export)
    response = middleware(RequestFactory().get("/orders"))
    parts = iter(response)
    assert next(parts) == b"o-1,7\n"
    assert kafka.events("audit-events") == []
    assert list(parts) == []
    response.close()
    assert audited(kafka)["outcome"] == "success"
    kafka.clear()
    response = middleware(RequestFactory().get("/orders"))
    next(iter(response))
    response.close()
    assert audited(kafka)["outcome"] == "client_disconnected"


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")  # Django's own, of the view
@pytest.mark.parametrize(("method", "path", "body"), [("POST", "/orders/o-2", BODY), ("GET", "/orders", b"")])
def test_sync_views_under_asgi(kafka: InMemoryTransport, method: str, path: str, body: bytes) -> None:
    answer = asgi(path, method, body)
    entry = audited(kafka)
    assert entry["status_code"] == answer.status < 300
    assert answer.headers["x-correlation-id"] == entry["correlation_id"]
    assert (entry["subject"], entry["outcome"]) == ("ann", "success")
    assert {event["correlation_id"] for event in kafka.events("orders")} <= {entry["correlation_id"]}


def test_async_views(kafka: InMemoryTransport) -> None:
    assert asgi("/orders/o-3/ship", "POST").status == 404
    assert audited(kafka)["outcome"] == "client_error"
    asgi("/orders/o-3", "POST", BODY)
    kafka.clear()
    assert asgi("/orders/o-3/ship", "POST").status == 200
    (shipped,) = kafka.events("orders")
    assert shipped["correlation_id"] == audited(kafka)["correlation_id"]


@pytest.mark.parametrize("fails", [False, True])
def test_the_user_of_an_async_view_may_read_the_database(
    kafka: InMemoryTransport, django_site: Any, *, fails: bool
) -> None:
    from django.http import HttpRequest, HttpResponse
    from django.test import RequestFactory, override_settings
    from django.utils.functional import SimpleLazyObject

    from examples.django_orders.models import Order
    from tidings.web.django import AuditMiddleware

    async def view(request: Any) -> HttpResponse:
        request.user = SimpleLazyObject(lambda: f"ann-{Order.objects.count()}")
        if fails:
            raise ZeroDivisionError
        return HttpResponse("ok")

    def who(request: HttpRequest) -> str:
        return str(request.user)

    with override_settings(TIDINGS={"AUDIT": {"USER": who}}):
        middleware: Any = AuditMiddleware(view)
    try:
        asyncio.run(middleware(RequestFactory().get("/x"))).close()
    except ZeroDivisionError:
        assert fails
    assert audited(kafka)["subject"] == "ann-0"
    assert middleware.stats().misled == 0


def test_exceptions_that_are_answers(kafka: InMemoryTransport) -> None:
    from django.core.exceptions import PermissionDenied
    from django.http import Http404, HttpRequest
    from django.test import override_settings
    from django.urls import path

    def view(request: HttpRequest) -> None:
        raise PermissionDenied if "denied" in request.GET else Http404("No.")

    class Urls:
        urlpatterns = (path("x", view),)

    with override_settings(ROOT_URLCONF=Urls):
        for asked, status in (("/x", 404), ("/x?denied", 403)):
            assert client().get(asked).status_code == status
            assert audited(kafka)["outcome"] == "client_error"
            kafka.clear()


def test_the_async_test_client(kafka: InMemoryTransport) -> None:
    from django.test import AsyncClient

    assert asyncio.run(AsyncClient().get("/nowhere?page=7&token=abc")).status_code == 404
    assert audited(kafka)["full_url"].endswith("/nowhere?page=7&token=***")


def test_server_sent_events_pass_one_by_one(kafka: InMemoryTransport) -> None:
    answer = asgi("/feed")
    assert [part for part in answer.parts if part] == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]
    assert audited(kafka)["outcome"] == "success"


def test_wait_safe(kafka: InMemoryTransport, django_site: Any) -> None:
    from django.test import override_settings

    from examples.django_orders import views
    from tidings.web.django import AuditMiddleware

    with override_settings(TIDINGS={"AUDIT": {"WAIT_SAFE": True}}):
        middleware: Any = AuditMiddleware(views.livez)
    from django.test import RequestFactory

    response = middleware(RequestFactory().get("/x"))
    assert len(kafka.events("audit-events")) == 1
    response.close()
    assert len(kafka.events("audit-events")) == 1


@pytest.mark.parametrize(
    ("tidings", "middleware", "ids"),
    [
        ({"SERVICE": "a", "AUDIT": {}}, ["tidings.web.django.AuditMiddleware"], []),
        ({"BROKERS": "no port", "RETRY_MAX": -1}, [], ["tidings.E001"]),
        ({"NONSENSE": 1}, [], ["tidings.E001"]),
        ("nonsense", [], ["tidings.E001", "tidings.E002"]),
        ({"AUDIT": {"SAMPLE": 7}}, ["tidings.web.django.AuditMiddleware"], ["tidings.E002"]),
        ({"AUDIT": {"USER": "nowhere.who"}}, ["tidings.web.django.AuditMiddleware"], ["tidings.E002"]),
        ({"AUDIT": {"NONSENSE": 7}}, ["tidings.web.django.AuditMiddleware"], ["tidings.E002"]),
        ({"AUDIT": {}}, [], ["tidings.W001"]),
        (
            {},
            ["django.contrib.auth.middleware.AuthenticationMiddleware", "tidings.web.django.AuditMiddleware"],
            ["tidings.W002"],
        ),
    ],
)
def test_checks(
    django_site: Any, monkeypatch: pytest.MonkeyPatch, tidings: Any, middleware: list[str], ids: list[str]
) -> None:
    from django.core.checks import run_checks
    from django.test import override_settings

    monkeypatch.setenv("KAFKA_BROKERS", "nobody.invalid:9092")
    with override_settings(TIDINGS=tidings, MIDDLEWARE=middleware):
        assert [found.id for found in run_checks(tags=["tidings"])] == ids


def test_the_publisher_is_made_of_the_setting_and_anew_when_it_changes(django_site: Any) -> None:
    from django.test import override_settings

    from tidings.web.django import get_publisher

    with override_settings(TIDINGS={"ENABLED": False, "SERVICE": "one"}):
        one = get_publisher()
        assert one is get_publisher()
        assert "'one'" in repr(one)
    with override_settings(TIDINGS={"ENABLED": False, "SERVICE": "two"}):
        assert "'two'" in repr(get_publisher())
        assert one.stats().is_closed


def test_on_commit_publishes_what_the_event_was_at_the_call(kafka: InMemoryTransport) -> None:
    from django.db import transaction

    from tidings.web.django import publish_on_commit

    data = {"a": 1}
    with transaction.atomic():
        with correlation("c-1"):
            publish_on_commit(data, event_type="x.y", topic="t", key="k", event_id="e-1", headers={"h": "1"})
        data["a"] = 2
        publish_on_commit(data, event_type="x.y", topic="t")
        assert kafka.events("t") == []
    first, second = kafka.events("t")
    assert (first["data"], first["correlation_id"], first["event_id"]) == ({"a": 1}, "c-1", "e-1")
    assert (second["data"], second["correlation_id"]) == ({"a": 2}, second["event_id"])
    record = next(record for record in kafka.records if record.topic == "t")
    assert (record.key, dict(record.headers)["h"], dict(record.headers)["event_id"]) == (b"k", b"1", b"e-1")


@pytest.mark.parametrize(
    ("event", "options", "error"),
    [
        ({"a": object()}, {}, InvalidEvent),
        ({"a": 1}, {"topic": "no topic"}, InvalidTopic),
        ({"a": 1}, {"bogus": 1}, TypeError),
    ],
    ids=["event", "topic", "option"],
)
def test_what_cannot_be_published_raises_while_it_can_be_rolled_back(
    kafka: InMemoryTransport, event: Any, options: Any, error: type[Exception]
) -> None:
    from django.db import transaction

    from examples.django_orders.models import Order
    from tidings.web.django import publish_on_commit

    with pytest.raises(error), transaction.atomic():  # noqa: PT012 - the transaction is what raises
        Order.objects.create(order_id="o-1", total=1)
        publish_on_commit(event, **{"event_type": "x.y", "topic": "t"} | options)
    assert not Order.objects.exists()
    assert kafka.records == []


def test_on_commit_with_a_disabled_publisher(django_site: Any) -> None:
    from tidings.web.django import publish_on_commit, use_publisher

    with Publisher.disabled() as publisher, use_publisher(publisher):
        publish_on_commit({"a": 1}, event_type="x.y", topic="t")
        assert publisher.stats().discarded == 1


def test_what_fails_after_the_commit_is_logged(django_site: Any, caplog: pytest.LogCaptureFixture) -> None:
    from django.db import transaction

    from tidings.web.django import publish_on_commit, use_publisher

    called: list[int] = []
    with Publisher(transport=InMemoryTransport()) as publisher, use_publisher(publisher):
        with transaction.atomic():
            publish_on_commit({"a": 1}, event_type="x.y", topic="t")
            transaction.on_commit(lambda: called.append(1))
            publisher.close()
        assert "KAFKA_CLOSED" in caplog.text
        assert called
        assert publisher.stats().rejected == 1
        with pytest.raises(PublisherClosed):
            publish_on_commit({"a": 1}, event_type="x.y", topic="t")


def test_testcases_see_what_is_published(django_site: Any) -> None:
    from django.db import transaction
    from django.test import TestCase

    from tidings.testing.django import PublishedEvents
    from tidings.web.django import publish_on_commit

    class Orders(PublishedEvents, TestCase):  # type: ignore[misc]
        def test_committed(self) -> None:
            with self.committing(), transaction.atomic():
                publish_on_commit({"a": 1}, event_type="x.y", topic="t")
                assert self.published("t") == []
            assert [event["data"] for event in self.published("t")] == [{"a": 1}]

        def test_never_committed(self) -> None:
            with transaction.atomic():
                publish_on_commit({"a": 1}, event_type="x.y", topic="t")
            assert self.published() == []

        def test_outage(self) -> None:
            self.kafka.down()
            assert self.client.get("/nowhere").status_code == 404
            assert self.published() == []
            self.kafka.up()
            assert len(self.published("audit-events")) == 1

    run_all(Orders, 3)


def test_testcases_see_the_topics_of_production(django_site: Any, tmp_path: Path) -> None:
    from django.test import TestCase, override_settings

    from tidings.testing.django import PublishedEvents
    from tidings.web.django import publish

    class Orders(PublishedEvents, TestCase):  # type: ignore[misc]
        def test_an_order(self) -> None:
            publish({"a": 1}, event_type="x.y")
            self.client.get("/nowhere")
            (order,) = self.published("prod.orders")
            assert (order["source"], order["version"]) == ("shop", "9")
            assert len(self.published("prod.audit")) == 1

    tidings = {
        "BROKERS": ["kafka.invalid:9092"],
        "SERVICE": "shop",
        "VERSION": "9",
        "TOPIC_MAP": {"x.y": "prod.orders"},
        "AUDIT_TOPIC": "prod.audit",
        "DURABILITY": "write-ahead",
        "STORE_DIR": str(tmp_path),
        "ENABLED": False,
        "AUDIT": {},
    }
    with override_settings(TIDINGS=tidings):
        run_all(Orders, 1)
    assert list(tmp_path.iterdir()) == []


def run_all(tests: type[unittest.TestCase], count: int) -> None:
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(tests).run(result)
    assert result.testsRun == count
    assert not result.failures + result.errors, result.failures + result.errors


def test_the_wsgi_application_passes_the_strict_way(kafka: InMemoryTransport) -> None:
    from django.core.wsgi import get_wsgi_application

    from support.asgi import call

    answer = call(get_wsgi_application(), environ("/orders", HTTP_HOST="localhost"))
    assert answer.status == 200
    assert audited(kafka)["outcome"] == "success"
