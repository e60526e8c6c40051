"""What requests do; events are published when their transaction has been committed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse

from examples.django_orders.events import OrderPlaced, OrderShipped
from examples.django_orders.models import Order
from tidings.web.django import publish, publish_on_commit
from tidings.web.identity import Identity


def who(request: HttpRequest) -> Identity:
    """Who asks: here whoever says so; in a service ``request.user``."""
    return Identity(subject=request.headers.get("X-User"), tenant_id="acme")


def livez(request: HttpRequest) -> HttpResponse:
    """GET /livez."""
    return HttpResponse("alive")


def place(request: HttpRequest, order_id: str) -> HttpResponse:
    """POST /orders/ID with ``{"total": 4200}``: 201. A negative total takes everything back: 409."""
    total = int(json.loads(request.body)["total"])
    try:
        with transaction.atomic():
            Order.objects.create(order_id=order_id, total=total)
            publish_on_commit(OrderPlaced(order_id, total))
            if total < 0:
                raise ValueError("a negative total")
    except ValueError as error:
        return JsonResponse({"error": str(error)}, status=409)
    return JsonResponse({"order_id": order_id}, status=201)


def quote(request: HttpRequest, order_id: str) -> HttpResponse:
    """POST /quotes/ID with ``{"total": 4200}``: what it would cost, with tax. Nothing is kept."""
    return JsonResponse({"order_id": order_id, "total": int(json.loads(request.body)["total"]) * 119 // 100})


async def ship(request: HttpRequest, order_id: str) -> HttpResponse:
    """POST /orders/ID/ship: 200, or 404. An async view; the event is published at once."""
    if not await Order.objects.filter(order_id=order_id).aupdate(shipped=True):
        return JsonResponse({"error": "unknown order"}, status=404)
    publish(OrderShipped(order_id))
    return JsonResponse({"order_id": order_id})


def export(request: HttpRequest) -> StreamingHttpResponse:
    """GET /orders: a line for each, while they are read."""

    def lines() -> Iterator[bytes]:
        for order in Order.objects.order_by("order_id").iterator():
            yield f"{order.order_id},{order.total}\n".encode()

    return StreamingHttpResponse(lines(), content_type="text/csv")


async def feed(request: HttpRequest) -> StreamingHttpResponse:
    """GET /feed: three server-sent events."""

    async def told() -> AsyncIterator[bytes]:
        for number in range(3):
            yield f"data: {number}\n\n".encode()
            await asyncio.sleep(0)

    return StreamingHttpResponse(told(), content_type="text/event-stream")
