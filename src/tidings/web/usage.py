"""Usage events: what somebody used that is billed or limited; to USAGE_TOPIC."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from tidings.events.catalogue import UsageEvent
from tidings.events.correlation import current_correlation_id
from tidings.events.ids import new_id
from tidings.publishing.contracts import Sender
from tidings.publishing.entry import Delivery
from tidings.web.clients import Proxies
from tidings.web.sending import Careful, field, summary


class UsageEvents:
    """Sends a UsageEvent for what was used, through any Sender.

        usage = UsageEvents(usage_sender(publisher), "orders")
        usage.record("api.calls", tenant_id="acme", request=request)

    Raises nothing of the sender's. What no reader could read (a ``quantity`` that is no number) is not sent;
    that, and what the sender does not take, is logged once and then counted, in ``failed``, and there is no
    Delivery. Where a lost event is lost money, look at the Delivery: ``delivery.wait_safe()``. Any thread.
    """

    def __init__(
        self, sender: Sender, service: str | None = None, *, trusted_proxies: Iterable[str] = ()
    ) -> None:
        self._sender = Careful(
            UsageEvent, sender, logging.getLogger("tidings.usage"), "A usage event was not taken"
        )
        self._service = service
        self._proxies = Proxies(trusted_proxies)

    @property
    def failed(self) -> int:
        """How many events were not sent: wrong, or not taken by the sender."""
        return self._sender.failed

    def record(
        self,
        metric: str,
        quantity: int | float = 1,
        *,
        unit: str | None = None,
        subject: object = None,
        tenant_id: object = None,
        resource: object = None,
        metadata: Mapping[str, Any] | None = None,
        request: Any = None,
        id: str | None = None,
    ) -> Delivery | None:
        """Send one event. ``resource`` defaults to the path of ``request``; ``id``, given again, tells the
        reader that it is the same use. Raises TypeError for a ``request`` that is none."""
        event = UsageEvent(
            id=id or new_id(),
            service=self._service,
            metric=metric,
            quantity=quantity,
            unit=unit,
            subject=field(subject),
            tenant_id=field(tenant_id),
            resource=field(resource) or summary(request, self._proxies).path,
            metadata=dict(metadata) if isinstance(metadata, Mapping) else metadata,
            correlation_id=current_correlation_id(),
        )
        return self._sender.send(event.id, event)
