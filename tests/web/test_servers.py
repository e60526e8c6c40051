"""The examples under their real servers, with an embedded broker: 500 requests each, 50 at a time."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.kafka_reader import read_topic
from support.load import Answered, run_load
from support.servers import GUNICORN, RUNSERVER, UVICORN, Server
from tidings.testing import EmbeddedBroker

REQUESTS, CONCURRENCY = 500, 50
FASTAPI = (*UVICORN, "examples.fastapi_orders.service:app")
FLASK = (*GUNICORN, "--workers", "2", "examples.flask_orders.service:create_app()")
FEED = b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
DJANGO_ASGI = (*UVICORN, "examples.django_orders.asgi:application")


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture
def serve(broker: EmbeddedBroker, tmp_path: Path, request: pytest.FixtureRequest, django_site: Any) -> Any:
    """A server whose topics are its own."""
    name = f"t{abs(hash(request.node.name))}"
    topics = {
        "KAFKA_AUDIT_TOPIC": f"{name}-audit",
        "KAFKA_AUTH_TOPIC": f"{name}-auth",
        "KAFKA_USAGE_TOPIC": f"{name}-usage",
        "KAFKA_TOPIC_MAP": f'{{"order.*": "{name}-orders"}}',
    }

    def start(*command: str, **variables: str) -> Server:
        names = {"KAFKA_BROKERS": broker.bootstrap_servers, "DATABASE": str(tmp_path / "db"), **topics}
        shutil.copy(django_site.DATABASES["default"]["NAME"], tmp_path / "db")
        return Server(*command, log=tmp_path / "log", **names, **variables)

    def records(kind: str) -> list[Any]:
        found = read_topic(broker.bootstrap_servers, f"{name}-{kind}", 0)
        return [record.json() for record in found]

    start.records = records  # type: ignore[attr-defined]
    return start


def test_fastapi_under_uvicorn(serve: Any) -> None:
    """A load, then one request and all that it causes, then large bodies: of 1 GB in tests/cluster."""
    json = {"Content-Type": "application/json", "X-Correlation-ID": "c-1", "X-User": "ann"}
    login, size = b'{"name": "ann", "password": "wrong"}', 20_000_000
    with serve(*FASTAPI) as server:
        answered = asyncio.run(run_load(server.port, REQUESTS, CONCURRENCY))
        assert server.ask("POST", "/login", login, json)[0] == 401
        assert server.ask("POST", "/login", login.replace(b"wrong", b"open sesame"), json)[0] == 200
        status, headers, _ = server.ask("POST", "/orders/one", b'{"total": 7}', json)
        assert (status, headers["x-correlation-id"]) == (201, "c-1")
        assert server.ask("GET", "/feed")[2] == FEED
        assert server.ask("PUT", "/uploads", bytes(size))[2] == b'{"size":%d}' % size
        assert len(server.ask("GET", f"/downloads/{size}")[2]) == size
    assert server.said == ""
    entries = serve.records("audit")
    one_each(answered, entries)
    by_call = {(it["http_method"], it["resource"], it["status_code"]): it for it in entries}
    assert by_call["POST", "/orders/one", 201]["subject"] == "ann"
    assert by_call["POST", "/login", 401]["payload"] == {"name": "ann", "password": "***"}
    assert by_call["PUT", "/uploads", 200]["payload"]["size"] == size
    assert by_call["GET", f"/downloads/{size}", 200]["outcome"] == "success"
    auth = serve.records("auth")
    assert sorted(event["type"] for event in auth) == ["login.failure", "login.success"]
    assert {(it["subject"], it["path"], it["remote_addr"]) for it in auth} == {("ann", "/login", "127.0.0.1")}
    usage = {event["correlation_id"]: event for event in serve.records("usage")}
    assert (usage["c-1"]["metric"], usage["c-1"]["tenant_id"]) == ("orders", "acme")
    orders = {(event["event_type"], event["correlation_id"]) for event in serve.records("orders")}
    assert orders == {
        (kind, name)
        for kind in ("order.placed", "order.invoiced")
        for name in ("c-1", *(it.request_id for it in answered))
    }


def test_flask_under_gunicorn(serve: Any) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded", "X-User": "ann"}
    with serve(*FLASK) as server:
        answered = asyncio.run(run_load(server.port, REQUESTS, CONCURRENCY))
        assert server.ask("POST", "/login", b"name=ann&password=wrong", form)[0] == 401
        json = {**form, "Content-Type": "application/json"}
        assert server.ask("POST", "/orders/one", b'{"total": 7}', json)[0] == 201
        assert server.ask("GET", "/feed")[2] == FEED
    assert server.said == ""
    entries = serve.records("audit")
    one_each(answered, entries)
    by_path = {entry["resource"]: entry for entry in entries}
    assert by_path["/orders/one"]["subject"] == "ann"
    assert by_path["/orders/one"]["endpoint"] == "/orders/<order_id>"
    assert by_path["/login"]["payload"] == {"name": "ann", "password": "***"}
    assert by_path["/feed"]["outcome"] == "success"
    (auth,) = serve.records("auth")
    assert (auth["type"], auth["subject"], auth["remote_addr"]) == ("login.failure", "ann", "127.0.0.1")
    orders = {event["correlation_id"] for event in serve.records("orders")}
    assert orders >= {it.request_id for it in answered}


@pytest.mark.parametrize("command", [RUNSERVER, DJANGO_ASGI], ids=["runserver", "uvicorn"])
def test_django(serve: Any, command: tuple[str, ...]) -> None:
    """Fewer: each is a transaction of SQLite."""
    with serve(*command) as server:
        answered = asyncio.run(run_load(server.port, 60, 4))
        assert server.ask("GET", "/feed")[2] == FEED
        server.stop(signal.SIGINT if command is RUNSERVER else signal.SIGTERM)
    assert {it.status for it in answered} == {201}
    entries = serve.records("audit")
    by_id = {entry["correlation_id"]: entry for entry in entries}
    assert len(entries) == len(by_id) == 61
    assert all(by_id[it.request_id]["endpoint"] == "/orders/<slug:order_id>" for it in answered)
    orders = {event["correlation_id"] for event in serve.records("orders")}
    assert orders == {it.request_id for it in answered}


def one_each(answered: list[Answered], entries: list[Any]) -> None:
    """Every request was answered, and has exactly one entry."""
    assert {it.status for it in answered} == {201}
    ours = [entry for entry in entries if entry["correlation_id"].startswith("q-")]
    assert Counter(entry["correlation_id"] for entry in ours) == Counter(it.request_id for it in answered)
    assert {(entry["status_code"], entry["outcome"]) for entry in ours} == {(201, "success")}
    assert {entry["payload"]["total"] for entry in ours} == {7}
    assert {entry["source_ip"] for entry in ours} == {"127.0.0.1"}
    assert len({entry["id"] for entry in ours}) == REQUESTS
