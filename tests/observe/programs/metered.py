"""A WSGI application for gunicorn: POST publishes one event and says by whom; the rest are the endpoints."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from tidings import Publisher
from tidings.observe import HealthRegistry, prometheus_metrics
from tidings.web.endpoints import wsgi_endpoints

publisher = Publisher(service="metered")
health = HealthRegistry()
health.register("kafka", publisher)
publisher.produce("metered", b"at import: by the master, when preloaded").wait(30)
prometheus_metrics(publisher)


def publish(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    publisher.produce("metered", b"1").wait(30)
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]


application = wsgi_endpoints(health, app=publish)
