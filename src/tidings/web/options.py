"""The options that all audit middlewares share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypedDict


class AuditOptions(TypedDict, total=False):
    """Keyword arguments of ``AuditMiddleware``, whatever the framework; all have defaults.

    The functions get the request as its framework has it: the ASGI scope, the WSGI environ, Django's
    HttpRequest. They are called when the response begins (with Flask's ``g`` and ``current_user`` at
    hand), as plain functions that may not wait, and change nothing where they raise.
    """

    service: str | None
    """The service's name in every entry; default None."""
    user: Callable[[Any], object] | None
    """Who it is: an ``Identity``, a mapping (the claims of a token), a subject, or None for nobody."""
    resource: Callable[[Any], object] | None
    """What was acted on; default the path."""
    exclude: Iterable[str]
    """Paths without entries: ``/livez``, or ``/static/*`` for all that begin so; as the application has them,
    or with the prefix (ASGI's root_path, WSGI's SCRIPT_NAME) under which the server has it."""
    sample: float
    """The share of requests that get an entry, from 0 to 1; default 1."""
    capture_body: bool | int
    """Put the redacted request body into the entry, up to so many bytes (True: 16,384); default False."""
    redact: Iterable[str]
    """Names of further fields whose values must not leave, in bodies and query strings."""
    trusted_proxies: Iterable[str]
    """Addresses and networks whose word on the client's address counts; ``unix`` for a Unix socket."""
    proxy_header: str | None
    """What they write: ``x-forwarded-for`` or ``forwarded``; default whichever is there, in that order."""
    correlation_headers: Iterable[str]
    """Read for the correlation id; the response has it under the first, and under others that came. Default
    X-Correlation-ID, X-Request-ID."""
    wait_safe: bool | float
    """Before a response ends, wait until its entry is safe, for up to so many seconds (True: 5); default
    False. A SIGKILL then costs no entry of a request that was answered."""
