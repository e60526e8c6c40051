"""Flask: an extension that gives each application a publisher and the audit middleware."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, current_app, request

from tidings.errors import ConfigError
from tidings.publishing.entry import Delivery
from tidings.publishing.publisher import Publisher
from tidings.web.auditing import AuditStats
from tidings.web.checking import function
from tidings.web.config import audit_options, publisher_settings
from tidings.web.kafka import audit_sender
from tidings.web.wsgi import WSGIAuditMiddleware

_NAME = "tidings"


class Tidings:
    """The extension: ``tidings = Tidings(app)``, or ``tidings.init_app(app)`` in a factory.

    ``app.config["TIDINGS"]`` has the publisher's settings (``{"BROKERS": …}``, as in ``KAFKA_*``, which they
    go before) and under ``"AUDIT"`` the options of the middleware in capitals; ``"AUDIT": None`` is no
    middleware. ``user`` and ``resource``, here or there, get Flask's request, within its context: ``g`` and
    ``current_user`` are at hand. ``publisher`` replaces the one that is made, in tests. One extension may
    serve many applications, each with a publisher of its own.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        publisher: Publisher | None = None,
        user: Callable[[Any], object] | None = None,
        resource: Callable[[Any], object] | None = None,
    ) -> None:
        self._publisher = publisher
        self._user = user
        self._resource = resource
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Set up one application. Connects to nothing. Raises ConfigError."""
        given = app.config.setdefault("TIDINGS", {})
        options = audit_options(given)
        publisher = self._publisher or Publisher(**publisher_settings(given))
        app.extensions[_NAME] = publisher
        if given.get("AUDIT", {}) is None:
            return
        options["user"] = _with_request(function(self._user or options.get("user"), "user"))
        options["resource"] = _with_request(function(self._resource or options.get("resource"), "resource"))
        app.wsgi_app = WSGIAuditMiddleware(app.wsgi_app, audit_sender(publisher), **options)  # type: ignore[method-assign]

    @property
    def publisher(self) -> Publisher:
        """The publisher of the current application. Raises ConfigError where it was not set up."""
        found = current_app.extensions.get(_NAME)
        if not isinstance(found, Publisher):
            raise ConfigError("This application has no publisher: call tidings.init_app(app).")
        return found

    def publish(self, event: object, **options: Any) -> Delivery:
        """``Publisher.publish`` of the current application's publisher."""
        return self.publisher.publish(event, **options)


def _with_request(asked: Callable[[Any], object] | None) -> Callable[[Any], object] | None:
    """For a function that gets Flask's request: the middleware has the environ, within Flask's context."""
    return None if asked is None else lambda _: asked(request)


def audit_stats(app: Flask) -> AuditStats:
    """What became of the requests of an application so far. Raises ConfigError without the middleware."""
    if isinstance(app.wsgi_app, WSGIAuditMiddleware):
        return app.wsgi_app.stats()
    raise ConfigError("This application has no audit middleware.")
