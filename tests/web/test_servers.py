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
from support.load import run_load
from support.servers import GUNICORN, RUNSERVER, UVICORN, Server
from tidings.testing import EmbeddedBroker

REQUESTS, CONCURRENCY = 500, 50
FASTAPI = (*UVICORN, "examples.fastapi_orders.service:app")
FLASK = (*GUNICORN, "--workers", "2", "examples.flask_orders.service:create_app()")
GTHREAD = (
    *GUNICORN,
    "--worker-class",
    "gthread",
    "--threads",
    "8",
    "examples.flask_orders.service:create_app()",
)
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
        return read_topic(broker.bootstrap_servers, f"{name}-{kind}", 0)

    start.records = records  # type: ignore[attr-defined]
    return start


@pytest.mark.parametrize("command", [FASTAPI, FLASK, GTHREAD], ids=["uvicorn", "prefork", "threads"])
def test_every_request_has_one_entry(serve: Any, command: tuple[str, ...]) -> None:
    with serve(*command) as server:
        answered = asyncio.run(run_load(server.port, REQUESTS, CONCURRENCY))
    assert {it.status for it in answered} == {201}
    entries = [record.json() for record in serve.records("audit")]
    assert Counter(entry["correlation_id"] for entry in entries) == Counter(it.request_id for it in answered)
    assert {(entry["status_code"], entry["outcome"]) for entry in entries} == {(201, "success")}
    assert {entry["payload"]["total"] for entry in entries} == {7}
    assert {entry["source_ip"] for entry in entries} == {"127.0.0.1"}
    assert len({entry["id"] for entry in entries}) == REQUESTS
    orders = {record.json()["correlation_id"] for record in serve.records("orders")}
    assert orders == {it.request_id for it in answered}
    assert server.said == ""


@pytest.mark.parametrize("command", [RUNSERVER, DJANGO_ASGI], ids=["runserver", "uvicorn"])
def test_django(serve: Any, command: tuple[str, ...]) -> None:
    """Fewer: each is a transaction of SQLite."""
    with serve(*command) as server:
        answered = asyncio.run(run_load(server.port, 60, 4))
        assert server.ask("GET", "/feed")[2] == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
        server.stop(signal.SIGINT if command is RUNSERVER else signal.SIGTERM)
    assert {it.status for it in answered} == {201}
    entries = [record.json() for record in serve.records("audit")]
    by_id = {entry["correlation_id"]: entry for entry in entries}
    assert len(entries) == len(by_id) == 61
    assert all(by_id[it.request_id]["endpoint"] == "/orders/<slug:order_id>" for it in answered)
    orders = {record.json()["correlation_id"] for record in serve.records("orders")}
    assert orders == {it.request_id for it in answered}


def test_a_request_of_fastapi_and_all_it_causes(serve: Any) -> None:
    with serve(*FASTAPI) as server:
        login = b'{"name": "ann", "password": "wrong"}'
        json = {"Content-Type": "application/json", "X-Correlation-ID": "c-1", "X-User": "ann"}
        assert server.ask("POST", "/login", login, json)[0] == 401
        assert server.ask("POST", "/login", login.replace(b"wrong", b"open sesame"), json)[0] == 200
        status, headers, _ = server.ask("POST", "/orders/o-1", b'{"total": 7}', json)
        assert (status, headers["x-correlation-id"]) == (201, "c-1")
        assert server.ask("GET", "/feed")[2] == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
    auth = [record.json() for record in serve.records("auth")]
    assert sorted(event["type"] for event in auth) == ["login.failure", "login.success"]
    assert {(event["subject"], event["path"], event["remote_addr"]) for event in auth} == {
        ("ann", "/login", "127.0.0.1")
    }
    (usage,) = [record.json() for record in serve.records("usage")]
    assert (usage["metric"], usage["tenant_id"], usage["correlation_id"]) == ("orders", "acme", "c-1")
    orders = [record.json() for record in serve.records("orders")]
    assert {(event["event_type"], event["correlation_id"]) for event in orders} == {
        ("order.placed", "c-1"),
        ("order.invoiced", "c-1"),
    }
    entries = {(it["http_method"], it["resource"], it["status_code"]): it for it in _entries(serve)}
    assert entries["POST", "/orders/o-1", 201]["subject"] == "ann"
    assert entries["POST", "/login", 401]["payload"] == {"name": "ann", "password": "***"}


def test_a_request_of_flask(serve: Any) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded", "X-User": "ann"}
    with serve(*FLASK) as server:
        assert server.ask("POST", "/login", b"name=ann&password=wrong", form)[0] == 401
        assert (
            server.ask("POST", "/orders/o-1", b'{"total": 7}', {**form, "Content-Type": "application/json"})[
                0
            ]
            == 201
        )
        assert server.ask("GET", "/feed")[2] == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
    (auth,) = [record.json() for record in serve.records("auth")]
    assert (auth["type"], auth["subject"], auth["remote_addr"]) == ("login.failure", "ann", "127.0.0.1")
    entries = {entry["resource"]: entry for entry in _entries(serve)}
    assert entries["/orders/o-1"]["subject"] == "ann"
    assert entries["/orders/o-1"]["endpoint"] == "/orders/<order_id>"
    assert entries["/login"]["payload"] == {"name": "ann", "password": "***"}
    assert entries["/feed"]["outcome"] == "success"


def test_large_bodies_pass_through(serve: Any) -> None:
    """50 MB each way; 1 GB and the memory it takes are measured in tests/cluster."""
    size = 50_000_000
    with serve(*FASTAPI) as server:
        assert server.ask("PUT", "/uploads", bytes(size))[2] == b'{"size":%d}' % size
        assert len(server.ask("GET", f"/downloads/{size}")[2]) == size
    entries = {entry["http_method"]: entry for entry in _entries(serve)}
    assert entries["PUT"]["payload"]["size"] == size
    assert entries["GET"]["outcome"] == "success"


def _entries(serve: Any) -> list[Any]:
    return [record.json() for record in serve.records("audit")]
