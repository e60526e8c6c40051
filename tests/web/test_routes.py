"""The endpoint: the template of the route, mounts and all; and what is seen from around an application."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from support.asgi import ask, call, environ, scope
from tidings.events.catalogue import AuditEntry
from tidings.publishing.senders import InMemorySender
from tidings.web.asgi import AuditMiddleware
from tidings.web.wsgi import WSGIAuditMiddleware


@pytest.fixture
def sender() -> InMemorySender:
    return InMemorySender()


def last(sender: InMemorySender) -> AuditEntry:
    entry = sender.values[-1]
    assert isinstance(entry, AuditEntry)
    return entry


def starlette_app() -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles

    def ok(request: Request) -> Response:
        return PlainTextResponse("ok")

    def broken(request: Request) -> Response:
        raise ZeroDivisionError

    one = Route("/{id}", ok)
    inner = Starlette(routes=[one, Route("/broken/{id}", broken)])
    return Starlette(
        routes=[
            Mount("/users", routes=[one, Mount("/deep", routes=[one])]),
            Mount("/app", inner),
            Mount("/static", StaticFiles(directory=".")),
            Mount("", routes=[Route("/plain/{id}", ok)]),
        ]
    )


def fastapi_app() -> Any:
    from fastapi import APIRouter, FastAPI

    router = APIRouter(prefix="/orders")
    router.get("/{id}")(lambda id: "ok")
    app, inner = FastAPI(), FastAPI()
    inner.get("/{id}")(lambda id: "ok")
    inner.include_router(router, prefix="/shop")
    app.mount("/v1", inner)
    app.include_router(router)
    app.include_router(router, prefix="/v2")
    app.get("/broken/{id}")(lambda id: 1 / 0)
    return app


STARLETTE = [
    ("/users/7", "/users/{id}"),
    ("/users/deep/7", "/users/deep/{id}"),
    ("/app/7", "/app/{id}"),
    ("/static/README.md", "/static"),
    ("/plain/7", "/plain/{id}"),
    ("/nowhere", "/nowhere"),
]
FASTAPI = [
    ("/v1/7", "/v1/{id}"),
    ("/v1/shop/orders/7", "/v1/shop/orders/{id}"),
    ("/orders/7", "/orders/{id}"),
    ("/v2/orders/7", "/v2/orders/{id}"),
    ("/nowhere", "/nowhere"),
]


@pytest.mark.parametrize("root", ["", "/api"])
@pytest.mark.parametrize(("make", "asked"), [(starlette_app, STARLETTE), (fastapi_app, FASTAPI)])
@pytest.mark.parametrize("outside", [False, True])
def test_below_mounts_and_prefixes(
    sender: InMemorySender, root: str, make: Any, asked: list[tuple[str, str]], *, outside: bool
) -> None:
    app = make()
    if outside:
        app = AuditMiddleware(app, sender)
    else:
        app.add_middleware(AuditMiddleware, sender=sender)
    for path, endpoint in asked:
        ask(app, scope(f"{root}{path}", root_path=root))
        known = endpoint != path
        assert (path, last(sender).endpoint) == (path, endpoint if known else f"{root}{endpoint}")


def test_a_middleware_of_a_mounted_application(sender: InMemorySender) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    inner = starlette_app()
    inner.add_middleware(AuditMiddleware, sender=sender, exclude=["/plain/*"])
    app = Starlette(routes=[Mount("/api", inner)])
    ask(app, scope("/api/users/7"))
    assert last(sender).endpoint == "/api/users/{id}"
    ask(app, scope("/api/plain/7"))
    assert len(sender.values) == 1


@pytest.mark.parametrize(
    ("make", "path", "endpoint"),
    [(starlette_app, "/app/broken/7", "/app/broken/{id}"), (fastapi_app, "/broken/7", "/broken/{id}")],
)
def test_from_outside_the_answer_to_an_exception_has_the_id(
    sender: InMemorySender, make: Any, path: str, endpoint: str
) -> None:
    import httpx

    transport = httpx.ASGITransport(AuditMiddleware(make(), sender), raise_app_exceptions=False)

    async def run() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://users") as client:
            return await client.get(path)

    answer = asyncio.run(run())
    (entry,) = sender.values
    assert isinstance(entry, AuditEntry)
    assert answer.status_code == entry.status_code == 500
    assert answer.headers["x-correlation-id"] == entry.correlation_id
    assert (entry.outcome, entry.endpoint) == ("server_error", endpoint)


@pytest.mark.parametrize(
    ("method", "path", "status", "endpoint"),
    [
        ("GET", "/v1/users/7", 200, "/v1/users/{id}"),
        ("GET", "/broken", 500, "/broken"),
        ("GET", "/nowhere", 404, "/nowhere"),
        ("GET", "/v1/users/ann", 404, "/v1/users/ann"),
        ("POST", "/v1/users/7", 405, "/v1/users/7"),
    ],
)
def test_litestar_from_outside(
    sender: InMemorySender, method: str, path: str, status: int, endpoint: str
) -> None:
    from litestar import Litestar, Router, get

    @get("/users/{id:int}")
    async def user() -> str:
        return "ok"

    @get("/broken")
    async def broken() -> str:
        raise ZeroDivisionError

    inside = Litestar(
        [Router("/v1", route_handlers=[user]), broken], logging_config=None, openapi_config=None
    )
    answer = ask(AuditMiddleware(inside, sender), scope(path, method))
    assert answer.status == last(sender).status_code == status
    assert answer.headers["x-correlation-id"] == last(sender).correlation_id
    assert last(sender).endpoint == endpoint


def test_quart_can_be_made_to_say_it(sender: InMemorySender) -> None:
    from quart import Quart, request

    app = Quart("tests", root_path=".")
    app.asgi_app = AuditMiddleware(app.asgi_app, sender)  # type: ignore[method-assign]

    @app.get("/users/<name>")
    async def users(name: str) -> str:
        return "ok"

    @app.before_request
    def tell_the_route() -> None:
        if request.url_rule is not None:
            request.scope["path_template"] = str(request.url_rule)  # type: ignore[typeddict-unknown-key]

    for path, endpoint in (("/users/ann", "/users/<name>"), ("/nowhere", "/nowhere")):
        ask(app, scope(path))
        assert last(sender).endpoint == endpoint


def test_flask_below_a_dispatcher(sender: InMemorySender) -> None:
    from flask import Flask
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    app = Flask("tests", root_path=".")
    app.add_url_rule("/users/<name>", view_func=lambda name: "ok", endpoint="users")
    dispatcher = DispatcherMiddleware(app, {"/v1": app.wsgi_app})
    outside = WSGIAuditMiddleware(dispatcher, sender)
    for path, endpoint in (("/users/ann", "/users/<name>"), ("/v1/users/ann", "/v1/users/<name>")):
        call(outside, environ(path, SCRIPT_NAME="/api", HTTP_HOST="users"))
        assert (last(sender).endpoint, last(sender).resource) == (endpoint, f"/api{path}")
