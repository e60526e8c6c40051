"""An application factory; the extension gives each application a publisher and audit entries."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import msgspec
from flask import Flask, Response, g, request

from tidings import event
from tidings.web.auth import AuthEvents
from tidings.web.flask import Tidings
from tidings.web.identity import Identity
from tidings.web.kafka import auth_sender


@event("order.placed", topic="orders", key="order_id")
class OrderPlaced(msgspec.Struct):
    """A customer placed an order. ``total`` is in cents."""

    order_id: str
    total: int


def who(_: Any) -> Identity:
    """Who asks, as the views found out; with Flask-Login ``current_user``."""
    return Identity(subject=g.get("user"), tenant_id="acme")


tidings = Tidings(user=who)


def create_app(config: dict[str, Any] | None = None) -> Flask:
    """One application."""
    app = Flask(__name__)
    safely = os.environ.get("WAIT_SAFE") == "yes"
    audit = {"EXCLUDE": ["/livez"], "CAPTURE_BODY": True, "WAIT_SAFE": safely}
    app.config["TIDINGS"] = {"SERVICE": "orders", "AUDIT": audit, **(config or {})}
    tidings.init_app(app)

    @app.get("/livez")
    def livez() -> str:
        return "alive"

    @app.post("/login")
    def login() -> tuple[dict[str, str], int]:
        auth = AuthEvents(auth_sender(tidings.publisher), "orders")
        name, password = request.form["name"], request.form["password"]
        if password != "open sesame":
            auth.login_failed(name, request=request, error="wrong password")
            return {"error": "wrong password"}, 401
        auth.login_succeeded(name, request=request)
        return {"name": name}, 200

    @app.post("/orders/<order_id>")
    def place(order_id: str) -> tuple[dict[str, str], int]:
        g.user = request.headers.get("X-User")
        tidings.publish(OrderPlaced(order_id, int(request.get_json()["total"])))
        return {"order_id": order_id}, 201

    @app.get("/feed")
    def feed() -> Response:
        def told() -> Iterator[str]:
            for number in range(3):
                yield f"data: {number}\n\n"

        return Response(told(), mimetype="text/event-stream")

    return app
