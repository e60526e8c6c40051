"""Auth events: who logged in or out, was let in or not, got or lost a token; to AUTH_TOPIC."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from tidings.events.catalogue import AuthEvent, AuthType
from tidings.events.correlation import current_correlation_id
from tidings.publishing.contracts import Sender
from tidings.publishing.entry import Delivery
from tidings.web.clients import Proxies
from tidings.web.sending import Careful, field, summary


class AuthEvents:
    """Sends an AuthEvent for each of these occasions, through any Sender.

        auth = AuthEvents(auth_sender(publisher), "orders")
        auth.login_failed("ann", request=request, error="wrong password")

    ``request`` is an ASGI scope, a WSGI environ, or a request of Starlette, FastAPI, Flask, Quart, Litestar
    or Django: the event then says its path, its user agent, and the client's address, through
    ``trusted_proxies`` as in the audit middleware. Each method returns the Delivery where the sender has one,
    and raises nothing of the sender's: a login must not fail because its event does. Failures are logged once
    and then counted, in ``failed``. Never give a password or a token as ``error``. Any thread.
    """

    def __init__(
        self,
        sender: Sender,
        service: str | None = None,
        *,
        trusted_proxies: Iterable[str] = (),
        proxy_header: str | None = None,
    ) -> None:
        self._sender = Careful(
            AuthEvent, sender, logging.getLogger("tidings.auth"), "An auth event was not taken"
        )
        self._service = service
        self._proxies = Proxies(trusted_proxies, proxy_header)

    @property
    def failed(self) -> int:
        """How many events were not sent: wrong, or not taken by the sender."""
        return self._sender.failed

    def login_succeeded(self, subject: object, **about: Any) -> Delivery | None:
        """``login.success``. ``about``, here and below, are the keywords of ``record``."""
        return self.record("login.success", subject, **about)

    def login_failed(self, subject: object = None, **about: Any) -> Delivery | None:
        """``login.failure``; ``subject`` is whom somebody claimed to be, ``error`` why it failed."""
        return self.record("login.failure", subject, **about)

    def access_granted(self, subject: object = None, **about: Any) -> Delivery | None:
        """``access.granted``; ``resource`` is what to."""
        return self.record("access.granted", subject, **about)

    def access_denied(self, subject: object = None, **about: Any) -> Delivery | None:
        """``access.denied``; ``resource`` is what to, ``error`` why."""
        return self.record("access.denied", subject, **about)

    def logged_out(self, subject: object, **about: Any) -> Delivery | None:
        """``logout``."""
        return self.record("logout", subject, **about)

    def token_issued(self, subject: object, **about: Any) -> Delivery | None:
        """``token.issued``; ``jti`` is the token's id."""
        return self.record("token.issued", subject, **about)

    def token_refreshed(self, subject: object, **about: Any) -> Delivery | None:
        """``token.refreshed``; ``jti`` is the new token's id."""
        return self.record("token.refreshed", subject, **about)

    def token_revoked(self, subject: object, **about: Any) -> Delivery | None:
        """``token.revoked``; ``jti`` is the token's id."""
        return self.record("token.revoked", subject, **about)

    def record(
        self,
        type: AuthType,
        subject: object = None,
        *,
        request: Any = None,
        tenant_id: object = None,
        error: object = None,
        resource: object = None,
        jti: object = None,
    ) -> Delivery | None:
        """Send one event of any type. Raises TypeError for a ``request`` that is none."""
        seen = summary(request, self._proxies)
        event = AuthEvent(
            service_name=self._service,
            type=type,
            subject=field(subject),
            tenant_id=field(tenant_id),
            error=field(error),
            resource=field(resource),
            jti=field(jti),
            path=seen.path,
            user_agent=seen.user_agent,
            remote_addr=seen.client,
            correlation_id=current_correlation_id(),
        )
        return self._sender.send(event.id, event)
