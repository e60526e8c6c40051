"""The ASGI middleware: one entry for a request, whatever happens; bodies pass through as they come."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest

from support.asgi import aask, ask, scope
from tidings import ConfigError, Publisher, PublishError, correlation, current_correlation_id
from tidings.events.catalogue import AuditEntry
from tidings.publishing.senders import InMemorySender
from tidings.testing import InMemoryTransport
from tidings.web.asgi import AuditMiddleware
from tidings.web.identity import Identity
from tidings.web.kafka import audit_sender


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"hello"})


def answering(status: int) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status})
        await send({"type": "http.response.body"})

    return app


@pytest.fixture
def sender() -> InMemorySender:
    return InMemorySender()


def only(sender: InMemorySender) -> AuditEntry:
    ((key, entry),) = sender.sent
    assert isinstance(entry, AuditEntry)
    assert key == entry.id
    return entry


def test_an_entry_says_who_did_what(sender: InMemorySender) -> None:
    app = AuditMiddleware(
        hello,
        sender,
        service="orders",
        user=lambda scope: Identity("ann", "acme", "token-1"),
        resource=lambda scope: f"order:{scope['path'][-1]}",
    )
    headers = [(b"host", b"shop.example"), (b"user-agent", b"curl/8")]
    answer = ask(app, scope("/orders/7", "DELETE", headers, query_string=b"full=1&token=abc"))
    assert answer.body == b"hello"
    entry = only(sender)
    assert (entry.subject, entry.tenant_id, entry.jti) == ("ann", "acme", "token-1")
    assert (entry.http_method, entry.resource, entry.endpoint) == ("DELETE", "order:7", "/orders/7")
    assert (entry.source_ip, entry.user_agent, entry.service) == ("203.0.113.9", "curl/8", "orders")
    assert entry.full_url == "http://shop.example/orders/7?full=1&token=***"
    assert (entry.status_code, entry.outcome, entry.payload) == (200, "success", None)
    assert entry.duration is not None
    assert entry.duration > 0
    assert entry.correlation_id == entry.id == answer.headers["x-correlation-id"]
    assert app.stats().recorded == 1


@pytest.mark.parametrize(
    ("status", "outcome"), [(204, "success"), (302, "success"), (404, "client_error"), (503, "server_error")]
)
def test_outcomes_by_status(sender: InMemorySender, status: int, outcome: str) -> None:
    ask(AuditMiddleware(answering(status), sender), scope())
    assert (only(sender).status_code, only(sender).outcome) == (status, outcome)


def test_an_exception_goes_on_and_is_recorded(sender: InMemorySender) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask(AuditMiddleware(app, sender), scope())
    assert (only(sender).status_code, only(sender).outcome) == (500, "exception")


def test_a_client_that_leaves(sender: InMemorySender) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        while (await receive())["type"] != "http.disconnect":
            await send({"type": "http.response.body", "body": b"x", "more_body": True})

    ask(AuditMiddleware(app, sender), scope(), leaves=True)
    assert (only(sender).status_code, only(sender).outcome) == (200, "client_disconnected")


def test_a_server_that_raises_when_the_client_has_left(sender: InMemorySender) -> None:
    async def send(message: Any) -> None:
        raise BrokenPipeError

    async def run() -> None:
        with pytest.raises(BrokenPipeError):
            await AuditMiddleware(hello, sender)(scope(), None, send)  # type: ignore[arg-type]

    asyncio.run(run())
    assert only(sender).outcome == "client_disconnected"


def test_cancelled_and_unfinished(sender: InMemorySender) -> None:
    async def stuck(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    async def silent(scope: Any, receive: Any, send: Any) -> None:
        pass

    async def run() -> None:
        task = asyncio.ensure_future(aask(AuditMiddleware(stuck, sender), scope()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    ask(AuditMiddleware(silent, sender), scope())
    assert [entry.outcome for entry in sender.values if isinstance(entry, AuditEntry)] == [
        "cancelled",
        "incomplete",
    ]


@pytest.mark.parametrize(
    ("given", "correlation_id", "request_id"),
    [
        ({"x-correlation-id": "c-1"}, "c-1", None),
        ({"x-request-id": "r-1"}, "r-1", "r-1"),
        ({"x-correlation-id": "c-1", "x-request-id": "r-1"}, "c-1", "r-1"),
        ({"x-correlation-id": "bad\r\nset-cookie: a=b"}, None, None),
        ({"x-correlation-id": "x" * 129}, None, None),
        ({"x-correlation-id": ""}, None, None),
        ({"x-correlation-id": "caf\xe9"}, None, None),
        ({"x-correlation-id": "a b", "x-request-id": "r-2"}, "r-2", "r-2"),
    ],
)
def test_correlation_ids(
    sender: InMemorySender, given: dict[str, str], correlation_id: str | None, request_id: str | None
) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(current_correlation_id())
        await hello(scope, receive, send)

    headers = [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
    answer = ask(AuditMiddleware(app, sender), scope(headers=headers))
    entry = only(sender)
    assert seen == [entry.correlation_id]
    assert entry.correlation_id == (correlation_id or entry.id)
    assert answer.headers["x-correlation-id"] == entry.correlation_id
    assert answer.headers.get("x-request-id") == request_id


def test_the_applications_own_id_stays_and_the_context_is_as_before(sender: InMemorySender) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"X-Correlation-Id", b"mine")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})
        assert headers == [(b"X-Correlation-Id", b"mine")]

    async def run() -> list[tuple[bytes, bytes]]:
        with correlation("outer"):
            answer = await aask(
                AuditMiddleware(app, sender, correlation_headers=["X-Correlation-ID"]), scope()
            )
            assert current_correlation_id() == "outer"
        return answer.pairs

    assert asyncio.run(run()) == [(b"X-Correlation-Id", b"mine")]


def test_exclusions_and_samples(sender: InMemorySender) -> None:
    app = AuditMiddleware(hello, sender, exclude=["/livez", "/static/*"], sample=0.5)
    for path in ("/livez", "/static/a.css", "/static/"):
        assert "x-correlation-id" in ask(app, scope(path)).headers
    assert app.stats().excluded == 3
    assert not sender.sent

    async def many() -> None:
        for _ in range(400):
            await aask(app, scope("/livezz"))

    asyncio.run(many())
    stats = app.stats()
    assert stats.recorded + stats.sampled_out == 400
    assert 100 < stats.recorded == len(sender.sent) < 300
    assert AuditMiddleware(hello, sender, sample=0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sample": 2},
        {"capture_body": -1},
        {"capture_body": 10**9},
        {"trusted_proxies": ["10.0.0.0/99"]},
        {"proxy_header": "x-real-ip"},
        {"exclude": [""]},
        {"exclude": ["livez"]},
        {"exclude": ["/static/*.css"]},
        {"exclude": 5},
        {"correlation_headers": ["X Correlation ID"]},
        {"correlation_headers": ["X-ID\r\nSet-Cookie"]},
        {"correlation_headers": ["Größe"]},
        {"user": "shop.users.who"},
        {"user": 5},
        {"user": asyncio.sleep},
        {"resource": asyncio},
        {"wait_safe": "yes"},
    ],
)
def test_wrong_options_are_told_at_once(sender: InMemorySender, wrong: Any) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        AuditMiddleware(hello, sender, **wrong)


class Waiting:
    async def send(self, key: Any, value: object) -> None: ...

    def close(self) -> None: ...

    async def __call__(self, scope: Any) -> None: ...


@pytest.mark.parametrize("wrong", [None, "kafka", object(), Waiting(), Publisher.disabled()])
def test_what_is_no_sender_is_told_at_once(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="sender"):
        AuditMiddleware(hello, wrong)
    with pytest.raises(ConfigError, match="resource is called as a plain function"):
        AuditMiddleware(hello, InMemorySender(), resource=Waiting())


def test_functions_that_raise_change_nothing(
    sender: InMemorySender, caplog: pytest.LogCaptureFixture
) -> None:
    async def waits(scope: Any) -> str:
        return "ann"

    def broken(scope: Any) -> str:
        raise ValueError(f"forged\nlines and {scope['path']}")

    app = AuditMiddleware(hello, sender, user=lambda scope: waits({}), resource=broken)
    for _ in range(3):
        assert ask(app, scope("/secret")).body == b"hello"
    assert app.stats().misled == 6
    assert app.stats().recorded == 3
    (line,) = caplog.messages
    assert "user: TypeError in as_identity" in line
    assert "\n" not in line
    assert "forged" not in caplog.text


def test_a_sender_that_fails_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tidings.audit")

    class Failing(InMemorySender):
        broken = True

        def send(self, key: Any, value: object) -> None:
            if self.broken:
                raise PublishError("No room.")
            super().send(key, value)

    sender = Failing()
    app = AuditMiddleware(hello, sender)
    for _ in range(5):
        assert ask(app, scope()).body == b"hello"
    assert (app.stats().failed, app.stats().recorded) == (5, 0)
    assert len(caplog.records) == 1
    assert "No room." in caplog.text
    sender.broken = False
    ask(app, scope())
    assert app.stats().recorded == 1
    assert "no longer; 4 more times" in caplog.messages[-1]


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
def test_other_kinds_pass_through(sender: InMemorySender, kind: str) -> None:
    seen: list[Any] = []

    async def app(*given: Any) -> None:
        seen.extend(given)

    given = ({"type": kind}, object(), object())
    asyncio.run(AuditMiddleware(app, sender)(*given))  # type: ignore[arg-type]
    assert tuple(seen) == given
    assert not sender.sent


def test_streams_are_neither_held_nor_gathered(sender: InMemorySender) -> None:
    """Each part of an upload and of a response has passed before the next one comes."""
    order: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        for number in range(3):
            part = await receive()
            order.append(f"read {number}")
            await send({"type": "http.response.body", "body": part["body"], "more_body": number < 2})

    async def run() -> None:
        async def receive() -> Any:
            order.append("sent")
            return {"type": "http.request", "body": part, "more_body": True}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                assert message["body"] is part
                assert bool(sender.sent) is False
                order.append("answered")

        await AuditMiddleware(app, sender, capture_body=10)(scope("/", "PUT"), receive, send)

    part = b"x" * 1_000_000
    asyncio.run(run())
    assert order == [step for n in range(3) for step in ("sent", f"read {n}", "answered")]
    assert only(sender).payload == {"omitted": "more than 10 bytes", "content_type": "", "size": 3_000_000}


def test_events_of_a_request_carry_its_id_also_from_background_tasks() -> None:
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    transport = InMemoryTransport()
    publisher = Publisher(transport=transport)

    def endpoint(request: Request) -> PlainTextResponse:  # in a thread
        publisher.publish_json("t", "endpoint")
        return PlainTextResponse("ok", background=BackgroundTask(lambda: publisher.publish_json("t", "task")))

    app = Starlette(routes=[Route("/users/{name}", endpoint)])
    app.add_middleware(AuditMiddleware, sender=audit_sender(publisher))
    answer = ask(app, scope("/users/ann", headers=[(b"x-request-id", b"r-9")]))
    publisher.close()
    assert answer.body == b"ok"
    assert {dict(record.headers)["correlation_id"] for record in transport.records} == {b"r-9"}
    (audit,) = [record for record in transport.records if record.topic == "audit-events"]
    assert audit.json()["endpoint"] == "/users/{name}"
    assert audit.key == audit.json()["id"].encode() == dict(audit.headers)["event_id"]


def starlette_app(middleware: Any) -> Any:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    app = Starlette(routes=[Route("/users/{name}", lambda request: PlainTextResponse("ok"))])
    app.add_middleware(AuditMiddleware, **middleware)
    return app


def fastapi_app(middleware: Any) -> Any:
    from fastapi import FastAPI

    app = FastAPI()
    app.get("/users/{name}")(lambda name: "ok")
    app.add_middleware(AuditMiddleware, **middleware)
    return app


def litestar_app(middleware: Any) -> Any:
    from litestar import Litestar, get
    from litestar.middleware import DefineMiddleware

    @get("/users/ann")
    async def users() -> str:
        return "ok"

    return Litestar([users], middleware=[DefineMiddleware(AuditMiddleware, **middleware)])


def quart_app(middleware: Any) -> Any:
    from quart import Quart

    app = Quart("tests", root_path=".")

    @app.get("/users/<name>")
    async def users(name: str) -> str:
        return "ok"

    app.asgi_app = AuditMiddleware(app.asgi_app, **middleware)  # type: ignore[method-assign]
    return app


@pytest.mark.parametrize("make", [starlette_app, fastapi_app, litestar_app, quart_app])
def test_frameworks(sender: InMemorySender, make: Any) -> None:
    app = make({"sender": sender, "service": "users"})

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://users") as client:
            return await client.get("/users/ann", headers={"x-correlation-id": "c-1"})

    answer = asyncio.run(run())
    assert answer.status_code == 200
    assert answer.headers["x-correlation-id"] == "c-1"
    entry = only(sender)
    assert (entry.service, entry.status_code, entry.correlation_id) == ("users", 200, "c-1")
    assert entry.resource == "/users/ann"
    assert entry.endpoint in {"/users/{name}", "/users/ann"}


def test_wait_safe_holds_the_end_of_a_response_until_the_entry_is_safe() -> None:
    transport = InMemoryTransport()
    publisher = Publisher(transport=transport)
    ends: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        length = scope["path"][1:].encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": b"12", "more_body": True})
        await send({"type": "http.response.body", "body": b"34", "more_body": True})
        await send({"type": "http.response.body"})

    async def run(length: int) -> None:
        async def send(message: Any) -> None:
            ends.append(len(transport.records))

        middleware = AuditMiddleware(app, audit_sender(publisher), wait_safe=True)
        await middleware(scope(f"/{length}"), None, send)  # type: ignore[arg-type]

    asyncio.run(run(4))
    assert ends == [0, 0, 1, 1]
    ends.clear()
    asyncio.run(run(0))
    assert ends == [1, 1, 1, 2]
    publisher.close()


def test_wait_safe_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    transport = InMemoryTransport()
    transport.down()
    publisher = Publisher(transport=transport, durability="memory")
    app = AuditMiddleware(hello, audit_sender(publisher), wait_safe=0.01)
    assert ask(app, scope()).body == b"hello"
    assert app.stats().unsafe == 1
    assert "not known to be safe" in caplog.text
    transport.up()
    publisher.close()
