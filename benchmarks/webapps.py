"""The services of benchmarks/web.py: the same application, bare and with one audit middleware or another.

``uvicorn benchmarks.webapps:app``, where SIDE names the side and KIND the framework.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from time import perf_counter_ns
from typing import Any

from pydantic import BaseModel
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TOPIC = "audit-benchmark"
BARE = "without"
Next = Callable[[Request], Awaitable[Response]]


class PlainAudit(BaseHTTPMiddleware):
    """What teams write first: the same entry, by Starlette's convenient base class, with the bare client."""

    def __init__(self, app: Any) -> None:
        from confluent_kafka import Producer

        super().__init__(app)
        config = {"acks": "all", "enable.idempotence": True, "linger.ms": 5, "compression.type": "snappy"}
        self.producer = Producer({"bootstrap.servers": os.environ["KAFKA_BROKERS"], **config})

    async def dispatch(self, request: Request, call_next: Next) -> Response:
        """One entry for a request."""
        clock, began, entry_id = perf_counter_ns(), datetime.now(UTC), str(uuid.uuid4())
        correlation_id = request.headers.get("x-correlation-id", entry_id)
        response = await call_next(request)
        response.headers["x-correlation-id"] = correlation_id
        entry = {
            "id": entry_id,
            "http_method": request.method,
            "resource": request.url.path,
            "timestamp": began.isoformat(),
            "source_ip": request.client.host if request.client else None,
            "user_agent": request.headers.get("user-agent"),
            "service": "orders",
            "full_url": str(request.url),
            "status_code": response.status_code,
            "duration": perf_counter_ns() - clock,
            "correlation_id": correlation_id,
        }
        self.producer.produce(TOPIC, json.dumps(entry).encode(), entry_id.encode())
        self.producer.poll(0)
        return response


class Nothing(BaseHTTPMiddleware):
    """The base class alone."""

    async def dispatch(self, request: Request, call_next: Next) -> Response:
        """Nothing at all."""
        return await call_next(request)


def _tidings(app: Any) -> None:
    from tidings import Publisher
    from tidings.web.asgi import AuditMiddleware
    from tidings.web.kafka import audit_sender

    publisher = Publisher.from_env(audit_topic=TOPIC)
    app.add_middleware(AuditMiddleware, sender=audit_sender(publisher), service="orders")


SIDES: dict[str, Callable[[Any], None]] = {
    BARE: lambda app: None,
    "tidings, audit on": _tidings,
    "BaseHTTPMiddleware, empty": lambda app: app.add_middleware(Nothing),
    "BaseHTTPMiddleware, audit": lambda app: app.add_middleware(PlainAudit),
}


class Order(BaseModel):
    """What the FastAPI endpoint answers."""

    order_id: str
    total: int


class Rows(DeclarativeBase):
    """The tables."""


class Row(Rows):
    """The one table."""

    __tablename__ = "orders"
    order_id: Mapped[str] = mapped_column(primary_key=True)
    total: Mapped[int]


def _starlette() -> Any:
    async def order(request: Request) -> JSONResponse:
        return JSONResponse({"order_id": request.path_params["order_id"], "total": 4200})

    return Starlette(routes=[Route("/orders/{order_id}", order)])


def _fastapi() -> Any:
    from fastapi import FastAPI

    service = FastAPI()

    @service.get("/orders/{order_id}")
    async def order(order_id: str, currency: str = "EUR") -> Order:
        return Order(order_id=order_id, total=4200)

    return service


def _database() -> Any:
    """FastAPI as most services have it: a plain function in a thread, that asks a database by SQLAlchemy."""
    from fastapi import FastAPI
    from sqlalchemy import create_engine, select
    from sqlalchemy.orm import Session
    from sqlalchemy.pool import StaticPool

    engine = create_engine("sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool)
    Rows.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add_all(Row(order_id=f"o-{n}", total=4200) for n in range(100))
    service = FastAPI()

    @service.get("/orders/{order_id}")
    def order(order_id: str, currency: str = "EUR") -> Order:
        with Session(engine) as session:
            row = session.scalars(select(Row).where(Row.order_id == order_id)).one()
            return Order(order_id=row.order_id, total=row.total)

    return service


KINDS: dict[str, Callable[[], Any]] = {"starlette": _starlette, "fastapi": _fastapi, "database": _database}

if "SIDE" in os.environ:
    app = KINDS[os.environ["KIND"]]()
    SIDES[os.environ["SIDE"]](app)
