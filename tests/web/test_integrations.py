"""FastAPI's dependency, Flask's extension, threads; Celery and RQ with their real workers."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support.asgi import aask, ask, scope
from support.books import LONG
from support.kafka_reader import read_topic
from support.processes import wait_until
from support.servers import ROOT
from tidings import ConfigError, Publisher, correlation, current_correlation_id, lifespan
from tidings.testing import EmbeddedBroker, InMemoryTransport
from tidings.web.carrying import carried
from tidings.web.fastapi import PublisherDependency, get_publisher


def test_fastapi_hands_the_publisher_over_and_tests_replace_it() -> None:
    from fastapi import FastAPI

    transports = InMemoryTransport(), InMemoryTransport()
    app = FastAPI(lifespan=lifespan(lambda: Publisher(transport=transports[0])))

    @app.post("/orders/{order_id}")
    def place(order_id: str, publisher: PublisherDependency) -> str:
        publisher.publish_json("orders", order_id)
        return "ok"

    async def serve() -> int:
        async with app.router.lifespan_context(app) as state:
            return (await aask(app, scope("/orders/o-1", "POST", state=dict(state or {})))).status

    assert asyncio.run(serve()) == 200
    assert transports[0].events() == ["o-1"]
    with Publisher(transport=transports[1]) as publisher:
        app.dependency_overrides[get_publisher] = lambda: publisher
        assert ask(app, scope("/orders/o-2", "POST")).status == 200
    assert transports[1].events() == ["o-2"]
    assert transports[0].events() == ["o-1"]


def test_fastapi_without_the_lifespan_says_what_is_missing() -> None:
    from starlette.requests import HTTPConnection

    with pytest.raises(ConfigError, match="lifespan"):
        get_publisher(HTTPConnection({"type": "http", "state": {}}))


def test_flask_has_a_publisher_for_each_application() -> None:
    from flask import Flask, g

    from tidings.web.flask import Tidings, audit_stats

    transport = InMemoryTransport()
    with Publisher(transport=transport) as publisher:
        tidings = Tidings(publisher=publisher, user=lambda request: (g.who, request.args["a"])[0])
        one, other = Flask("one", root_path="."), Flask("other", root_path=".")
        other.config["TIDINGS"] = {"ENABLED": False, "AUDIT": None}
        tidings.init_app(one)
        Tidings(other)

        @one.get("/orders/<name>")
        def order(name: str) -> str:
            g.who = "ann"
            return tidings.publish({"name": name}, event_type="x.y", topic="orders").topic

        with (
            one.test_client() as client,
            client.get("/orders/o-1?a=1", headers={"x-request-id": "r-1"}) as answer,
        ):
            assert answer.data == b"orders"
            assert answer.headers["X-Correlation-ID"] == "r-1"
        (entry,) = transport.events("audit-events")
        assert (entry["subject"], entry["endpoint"]) == ("ann", "/orders/<name>")
        assert transport.events("orders")[0]["correlation_id"] == "r-1"
        assert audit_stats(one).recorded == 1
        with other.app_context():
            assert tidings.publisher is not publisher
        with pytest.raises(ConfigError, match="no audit middleware"):
            audit_stats(other)
        with Flask("third", root_path=".").app_context(), pytest.raises(ConfigError, match="init_app"):
            _ = tidings.publisher


@pytest.mark.parametrize(
    "wrong", [{"NONSENSE": 1}, {"AUDIT": {"NONSENSE": 1}}, {"AUDIT": {"USER": "no.where"}}, 7, {"AUDIT": 7}]
)
def test_flask_refuses_a_wrong_configuration(wrong: Any) -> None:
    from flask import Flask

    from tidings.web.flask import Tidings

    app = Flask("app", root_path=".")
    app.config["TIDINGS"] = wrong
    with pytest.raises(ConfigError):
        Tidings(app)


def test_the_id_is_carried_into_threads() -> None:
    seen: list[str | None] = []
    with correlation("c-1"):
        work = carried(lambda: seen.append(current_correlation_id()))
    with ThreadPoolExecutor(4) as pool, correlation("other"):
        list(pool.map(lambda _: work(), range(20)))
        work()
        assert current_correlation_id() == "other"
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == ["c-1"] * 22


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(topics={"orders": 4}) as broker:
        yield broker


def invoiced(broker: EmbeddedBroker) -> list[tuple[str, int, str]]:
    """Which order, which step, under which id."""
    found = [record.json() for record in read_topic(broker.bootstrap_servers, "orders", 0)]
    return [(it["data"]["order_id"], it["data"].get("step", 0), it["correlation_id"]) for it in found]


def test_celery_carries_the_id_through_retries_and_tasks_of_tasks(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    env = {**os.environ, "KAFKA_BROKERS": broker.bootstrap_servers, "QUEUE": str(tmp_path)}
    asks = (
        "from tests.web.programs import celery_on_files\n"
        "from examples.celery_orders.jobs import invoice\n"
        "from tidings import correlation\n"
        "with correlation('c-1'):\n    invoice.delay('celery-1')\n"
        "invoice.delay('celery-2')\n"
    )
    subprocess.run([sys.executable, "-c", asks], cwd=ROOT, env=env, check=True, timeout=60)
    quiet = ("--without-mingle", "--without-gossip", "--without-heartbeat", "--loglevel", "error")
    command = ["-m", "celery", "--quiet", "--app", "tests.web.programs.celery_on_files", "worker", *quiet]
    worker = subprocess.Popen([sys.executable, *command, "--concurrency", "2"], cwd=ROOT, env=env)
    try:
        assert wait_until(lambda: sum(name.startswith("celery") for name, *_ in invoiced(broker)) == 4, LONG)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
    finally:
        worker.kill()
        worker.wait()
    found = {(name, step): ids for name, step, ids in invoiced(broker) if name.startswith("celery")}
    assert found["celery-1", 1] == found["celery-1", 2] == "c-1"
    assert found["celery-2", 1] == found["celery-2", 2]
    assert len(found["celery-2", 1]) == 36


def test_rq_carries_the_id_and_delivers_before_the_horse_ends(
    broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fakeredis
    import redis
    from fakeredis import FakeRedisConnection
    from fakeredis.model import ClientInfo
    from rq import Queue

    from tidings.web.rq import CorrelatedJob

    with_spaces = ClientInfo.as_bytes  # in its addresses, which redis-py cannot read
    monkeypatch.setattr(ClientInfo, "as_bytes", lambda self: with_spaces(self).replace(b", ", b","))
    answers = FakeRedisConnection.read_response

    def answered(self: Any, *options: Any, **more: Any) -> Any:
        """Its server hangs up on whoever asks for what it does not know, and rq waits for up to 16 s then."""
        try:
            return answers(self, *options, **more)
        except redis.ResponseError as error:
            return error

    monkeypatch.setattr(FakeRedisConnection, "read_response", answered)
    server = fakeredis.TcpFakeServer(("127.0.0.1", 0))
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    port = server.server_address[1]
    connection = redis.Redis("127.0.0.1", port)
    env = {**os.environ, "KAFKA_BROKERS": broker.bootstrap_servers, "KAFKA_FLUSH_TIMEOUT": "500ms"}
    try:
        queue = Queue("orders", connection=connection, job_class=CorrelatedJob)
        with correlation("c-1"):
            queue.enqueue("examples.rq_orders.jobs.invoice", "rq-1")
        alone = queue.enqueue("examples.rq_orders.jobs.invoice", "rq-2")
        own = ("--worker-class", "examples.rq_orders.jobs.OrdersWorker")
        jobs = ("--job-class", "tidings.web.rq.CorrelatedJob")
        command = [
            "-m",
            "rq.cli",
            "worker",
            *own,
            *jobs,
            "--burst",
            "--url",
            f"redis://127.0.0.1:{port}",
            "orders",
        ]
        subprocess.run([sys.executable, *command], cwd=ROOT, env=env, check=True, timeout=60)
        found = {name: ids for name, _, ids in invoiced(broker) if name.startswith("rq")}
        assert found == {"rq-1": "c-1", "rq-2": alone.id}
    finally:
        connection.close()
        server.shutdown()
        server.server_close()
        serving.join(10)
