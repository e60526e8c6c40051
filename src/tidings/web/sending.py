"""What auth and usage events share: a sender that breaks nothing, and what a request says of itself."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from tidings.events.encoders import encoder_for
from tidings.publishing.complaints import Complaint
from tidings.publishing.contracts import Sender
from tidings.publishing.entry import Delivery
from tidings.publishing.plain import plain
from tidings.web.clients import Proxies
from tidings.web.facts import from_request

_LONGEST = 512


class Careful:
    """Sends events of one class through another sender, if they are what their class declares, as a Publisher
    checks it: readers must be able to read them. What is wrong, and what the sender raises, is logged once,
    then as counts, and counted."""

    def __init__(self, kind: type, sender: Sender, logger: logging.Logger, what: str) -> None:
        self._check = encoder_for(kind).encode
        self._sender = sender
        self._complaint = Complaint(logger, what)

    @property
    def failed(self) -> int:
        """How often it failed."""
        return self._complaint.count

    def send(self, key: str, value: object) -> Delivery | None:
        """Send; None where it failed, or where the sender has no Delivery."""
        try:
            self._check(value)
            delivery = self._sender.send(key, value)
        except Exception as error:
            self._complaint.record(error)
            return None
        self._complaint.relieve()
        return delivery


class Summary(msgspec.Struct, frozen=True):
    """Of a request: its path, the client's address and program."""

    path: str | None = None
    client: str | None = None
    user_agent: str | None = None


def summary(request: Any, proxies: Proxies) -> Summary:
    """What a request says of itself; nothing for None. Raises TypeError for what is no request."""
    if request is None:
        return Summary()
    facts = from_request(request)
    client = proxies.client(facts.peer, facts.headers)
    return Summary(facts.path, client, field(facts.headers.get("user-agent")))


def field(value: object) -> str | None:
    """A value as a field of an event: text, printable, of 512 characters at most."""
    return None if value is None else plain(str(value), _LONGEST)
