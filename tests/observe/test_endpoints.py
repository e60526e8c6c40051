"""The endpoints over real servers: uvicorn for ASGI, wsgiref for WSGI, and three workers of gunicorn."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from support.processes import wait_until
from tidings.observe import HealthRegistry
from tidings.testing import EmbeddedBroker
from tidings.web.endpoints import asgi_endpoints, wsgi_endpoints

LONG = 30.0
Get = Callable[..., "Got"]


@pytest.fixture
def health() -> HealthRegistry:
    health = HealthRegistry()
    health.register("works", lambda: True, cache=0)
    return health


class Got(NamedTuple):
    """A response, read to its end."""

    status: int
    headers: Message
    body: bytes

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


def _ask(port: int, path: str, method: str = "GET", **headers: str) -> Got:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONG)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    got = Got(response.status, response.headers, response.read())
    connection.close()
    return got


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None: ...


@contextlib.contextmanager
def _wsgi(app: Any) -> Iterator[int]:
    with make_server("127.0.0.1", 0, app, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join(LONG)


@contextlib.contextmanager
def _asgi(app: Any) -> Iterator[int]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="on", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    assert wait_until(lambda: server.started, LONG)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(LONG)


@pytest.fixture(params=["asgi", "wsgi"])
def get(request: pytest.FixtureRequest, health: HealthRegistry) -> Iterator[Get]:
    is_asgi = request.param == "asgi"
    with _asgi(asgi_endpoints(health)) if is_asgi else _wsgi(wsgi_endpoints(health)) as port:
        yield lambda path, method="GET", **headers: _ask(port, path, method, **headers)


def test_ready_degraded_and_not(get: Get, health: HealthRegistry) -> None:
    response = get("/readyz")
    report = response.json()
    assert (response.status, report["status"], report["ready"]) == (200, "healthy", True)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert set(report["checks"]["works"]) == {
        "status",
        "critical",
        "cause",
        "message",
        "duration_ms",
        "checked_at",
    }
    health.register("optional", lambda: False, critical=False)
    response = get("/readyz")
    assert (response.status, response.json()["status"]) == (200, "degraded")
    health.register("needed", lambda: False)
    response = get("/readyz?verbose=1")
    assert (response.status, response.json()["status"]) == (503, "unhealthy")
    assert get("/livez").status == 200


def test_methods_and_paths(get: Get) -> None:
    whole, head = get("/readyz"), get("/readyz", "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert abs(int(head.headers["content-length"]) - len(whole.body)) < 20
    refused = get("/readyz", "POST")
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")
    assert get("/").status == 404
    assert get("/readyz/../etc").status == 404


def test_the_answer_to_head_has_no_body(health: HealthRegistry) -> None:
    """Of itself: servers take one away, or do not."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/readyz", "method": "HEAD", "headers": []}
    asyncio.run(asgi_endpoints(health)(scope, send, send))  # type: ignore[arg-type]
    assert sent[1]["body"] == b""
    assert dict(sent[0]["headers"])[b"content-length"] != b"0"
    environ = {"REQUEST_METHOD": "HEAD", "PATH_INFO": "/readyz"}
    assert list(wsgi_endpoints(health)(environ, lambda *_: None)) == []


def test_metrics(get: Get) -> None:
    response = get("/metrics")
    assert response.status == 200
    assert b"python_info" in response.body
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    open_metrics = get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text")
    assert open_metrics.body.endswith(b"# EOF\n")


def test_without_messages_and_metrics(health: HealthRegistry) -> None:
    with _wsgi(wsgi_endpoints(health, details=False, metrics=False)) as port:
        report = _ask(port, "/readyz").json()
        assert "message" not in report["checks"]["works"]
        assert _ask(port, "/metrics").status == 404


def test_mounted_and_in_front(health: HealthRegistry) -> None:
    inner = Starlette(routes=[Mount("/ops", app=asgi_endpoints(health))])
    with _asgi(asgi_endpoints(health, app=inner)) as port:
        assert _ask(port, "/ops/readyz").status == 200
        assert _ask(port, "/readyz").status == 200
        assert _ask(port, "/other").status == 404


# -- gunicorn


@pytest.fixture
def gunicorn(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[int]:
    """Three preloaded workers; the port they listen on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(__file__).parent / "programs" / "metered.py"
    command = [sys.executable, "-m", "gunicorn", "-c", "metered_conf.py", "--workers", "3", "--preload"]
    process = subprocess.Popen(
        [*command, "--bind", f"127.0.0.1:{port}", "--log-level", "error", "metered:application"],
        cwd=program.parent,
        env={
            **os.environ,
            "KAFKA_BROKERS": broker.bootstrap_servers,
            "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        },
    )
    assert wait_until(lambda: _answers(port), LONG)
    yield port
    process.send_signal(signal.SIGTERM)
    assert process.wait(LONG) == 0


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        return _ask(port, "/livez").status == 200
    return False


def _total(port: int, name: str) -> float:
    body = _ask(port, "/metrics").body.decode()
    return float(re.findall(rf'^{name}{{client_id="metered"}} (\S+)$', body, re.MULTILINE)[0])


def test_workers_are_added_up_and_a_killed_one_leaves_its_count(gunicorn: int) -> None:
    by_worker: dict[int, int] = {}

    def publish() -> int:
        worker = int(_ask(gunicorn, "/", "POST").body)
        by_worker[worker] = by_worker.get(worker, 0) + 1
        return worker

    assert wait_until(lambda: bool(publish()) and len(by_worker) == 3, LONG), "every worker has published"
    sent = "kafka_messages_sent_total"
    assert wait_until(lambda: _total(gunicorn, sent) == 1 + sum(by_worker.values()), LONG), "1: the master's"
    os.kill(publish(), signal.SIGTERM)
    before = 1 + sum(by_worker.values())
    assert wait_until(lambda: _total(gunicorn, sent) == before, LONG), "it told its last when it was closed"
    os.kill(max(by_worker), signal.SIGKILL)
    assert wait_until(lambda: bool(publish()) and len(by_worker) >= 4, LONG), "another one has taken over"
    total = 1 + sum(by_worker.values())
    assert wait_until(lambda: _total(gunicorn, sent) == total, LONG)
    assert _total(gunicorn, "tidings_accepted_total") == total
    assert _total(gunicorn, "tidings_in_flight") == 0
