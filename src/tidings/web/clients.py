"""Who is at the other end: the client's address, through proxies that are trusted and no others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from tidings.errors import ConfigError

_HEADERS = ("x-forwarded-for", "forwarded")
_MOST_HOPS = 32
_LONGEST_HOP = 64
_MARKS = re.compile(r'\\+|[",]')
_PAIR = re.compile(r'\s*+([^\s=;"]*+)\s*+=\s*+("[^"\\]*+(?:\\.[^"\\]*+)*+"|[^;"]*+)\s*+(?:;|$)')
UNIX = "unix"
"""Among trusted proxies: whoever connects through a Unix socket, and so has no address."""


class Proxies:
    """Finds the client's address: the peer's, or, where the peer is trusted, the one it names.

    ``trusted`` are addresses and networks (``10.0.0.0/8``). What proxies wrote is read from right to left,
    and the first address that is not trusted is the client's: what stands left of it anybody may have
    written. ``header`` is ``x-forwarded-for`` or ``forwarded`` (RFC 7239); None means the first where it is
    there, else the second. Name the one your proxies write, when they let the other pass. Raises ConfigError.
    Any thread.
    """

    def __init__(self, trusted: Iterable[str] = (), header: str | None = None) -> None:
        names = list(trusted)
        if header is not None and header.lower() not in _HEADERS:
            raise ConfigError(f"proxy_header is {' or '.join(_HEADERS)}.")
        try:
            networks = [ip_network(name, strict=False) for name in names if name != UNIX]
        except ValueError as error:
            raise ConfigError(f"trusted_proxies are addresses and networks: {error}.") from None
        self._any = bool(names)
        self._header = None if header is None else header.lower()
        self._trusts_unix = UNIX in names

        @lru_cache(1024)
        def trusts(address: str) -> bool:
            found = parse(address)
            return found is not None and any(found in network for network in networks)

        self._trusts = trusts

    def client(self, peer: str | None, headers: Mapping[str, str]) -> str | None:
        """The client's address, or None where nobody trusted says it. Raises nothing."""
        if not self._any:
            return peer
        if not (self._trusts(peer) if peer else self._trusts_unix):
            return peer
        nearest = peer
        for hop in self._hops(headers):
            if (found := parse(hop)) is None:
                break
            nearest = str(found)
            if not self._trusts(nearest):
                break
        return nearest

    def _hops(self, headers: Mapping[str, str]) -> list[str]:
        """What proxies wrote, the nearest first."""
        written = None if self._header == "forwarded" else headers.get("x-forwarded-for")
        if written is not None:
            return _back(written)
        if self._header == "x-forwarded-for" or (written := headers.get("forwarded")) is None:
            return []
        return [_for(element) for element in _elements(written)]


def parse(hop: str) -> IPv4Address | IPv6Address | None:
    """An address as proxies write it, with a port or without; None where it is none."""
    text = hop.strip().strip('"')[:_LONGEST_HOP]
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    if "%" in text:  # a zone, which may be any text
        return None
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _back(written: str) -> list[str]:
    return written.split(",")[: -_MOST_HOPS - 1 : -1]


def _elements(written: str) -> list[str]:
    """The elements of a Forwarded header, the nearest first. They are found from the right, where the trusted
    proxy wrote: its part is well-formed, and a quote that a client left open does not reach into it."""
    marks = [(found.start(), found[0]) for found in _MARKS.finditer(written)]
    elements, end, is_quoted = [], len(written), False
    for (at, mark), before in zip(reversed(marks), [*reversed(marks[:-1]), (0, "")], strict=False):
        if mark == '"':
            is_quoted = not is_quoted or _is_escaped(at, *before)
        elif mark == "," and not is_quoted:
            elements.append(written[at + 1 : end])
            if len(elements) == _MOST_HOPS:
                return elements
            end = at
    return elements if is_quoted else [*elements, written[:end]]


def _is_escaped(at: int, start: int, before: str) -> bool:
    return before[:1] == "\\" and start + len(before) == at and len(before) % 2 == 1


def _for(element: str) -> str:
    """The value of ``for=`` of one element; empty where there is none, or another pair is not well-formed."""
    at = 0
    while (pair := _PAIR.match(element, at)) is not None:
        if pair[1].lower() == "for":
            return pair[2]
        at = pair.end()
    return ""
