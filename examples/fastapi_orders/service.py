"""The service: audit entries of all requests, auth events of logins, usage of what is billed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated

import msgspec
from fastapi import BackgroundTasks, FastAPI, Header, HTTPException, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from tidings import Publisher, event, lifespan
from tidings.web.asgi import AuditMiddleware
from tidings.web.auth import AuthEvents
from tidings.web.fastapi import PublisherDependency
from tidings.web.identity import Identity
from tidings.web.kafka import audit_sender, auth_sender, usage_sender
from tidings.web.usage import UsageEvents


@event("order.placed", topic="orders", key="order_id")
class OrderPlaced(msgspec.Struct):
    """A customer placed an order. ``total`` is in cents."""

    order_id: str
    total: int


@event("order.invoiced", topic="orders", key="order_id")
class OrderInvoiced(msgspec.Struct):
    """The invoice is on its way."""

    order_id: str


class Order(BaseModel):
    """The body of POST /orders/ID."""

    total: int


class Login(BaseModel):
    """The body of POST /login."""

    name: str
    password: str


publisher = Publisher.from_env()  # connects to nothing yet
auth = AuthEvents(auth_sender(publisher), "orders")
usage = UsageEvents(usage_sender(publisher), "orders")
app = FastAPI(lifespan=lifespan(publisher))


def who(scope: dict[str, object]) -> Identity:
    """Who asks, as the endpoints found out; in a service from a token."""
    state = scope.get("state")
    return Identity(subject=state.get("user") if isinstance(state, dict) else None, tenant_id="acme")


app.add_middleware(
    AuditMiddleware,
    sender=audit_sender(publisher),
    service="orders",
    user=who,
    exclude=["/livez"],
    capture_body=True,
    wait_safe=os.environ.get("WAIT_SAFE") == "yes",
)


@app.get("/livez")
async def livez() -> str:
    """Alive."""
    return "alive"


@app.post("/login")
async def login(request: Request, body: Login) -> dict[str, str]:
    """200, or 401."""
    if body.password != "open sesame":
        auth.login_failed(body.name, request=request, error="wrong password")
        raise HTTPException(401)
    auth.login_succeeded(body.name, request=request)
    return {"name": body.name}


@app.post("/orders/{order_id}", status_code=201)
def place(
    order_id: str,
    order: Order,
    request: Request,
    tasks: BackgroundTasks,
    publisher: PublisherDependency,
    x_user: Annotated[str | None, Header()] = None,
) -> dict[str, str]:
    """201: a plain function, in a thread; the invoice is a background task. Both have the correlation id."""
    request.state.user = x_user
    publisher.publish(OrderPlaced(order_id, order.total))
    usage.record("orders", tenant_id="acme", request=request)
    tasks.add_task(lambda: publisher.publish(OrderInvoiced(order_id)))
    return {"order_id": order_id}


@app.get("/feed")
async def feed() -> StreamingResponse:
    """Server-sent events."""

    def told() -> Iterator[str]:
        for number in range(3):
            yield f"data: {number}\n\n"

    return StreamingResponse(told(), media_type="text/event-stream")


@app.put("/uploads")
async def upload(request: Request) -> dict[str, int]:
    """Takes an upload of any size, part by part, and says how large it was."""
    size = 0
    async for part in request.stream():
        size += len(part)
    return {"size": size}


@app.get("/downloads/{size}")
async def download(size: int) -> StreamingResponse:
    """So many bytes, part by part."""
    part = bytes(65_536)
    return StreamingResponse(
        (part[: min(len(part), size - at)] for at in range(0, size, len(part))),
        media_type="application/octet-stream",
    )
