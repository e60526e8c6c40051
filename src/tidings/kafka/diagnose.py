"""Health's words: find out why Kafka cannot be reached, and say it so that it can be repaired."""

from __future__ import annotations

import queue
import re
import threading
import time

from tidings.kafka.causes import Cause, Diagnosis, told
from tidings.kafka.probe import Probe
from tidings.settings import Settings

__all__ = ["Cause", "Diagnosis", "diagnose"]

_MOST_BROKERS = 8
"""Bootstrap brokers tried: more say nothing new, and each costs a thread."""

_LEAST_TELLING = (Cause.CLOSED, Cause.REFUSED, Cause.TIMEOUT, Cause.UNREACHABLE, Cause.UNRESOLVABLE)
"""Causes that an answer from another broker outweighs, and in this order each other."""

_NAMED = re.compile(r"(?:\w+://)?(\S+:\d+)/(?:\d+|bootstrap)\b")
"""How librdkafka names a broker at the start of its errors: ``sasl_ssl://host:9093/1: …``."""


def diagnose(settings: Settings, *, timeout: float, last_error: tuple[str, str] | None = None) -> Diagnosis:
    """Why Kafka cannot be reached, found by trying the bootstrap brokers with sockets of our own.

    All brokers are tried at once, for ``timeout`` seconds together. ``last_error`` is the name and text of
    librdkafka's last error; it tells what no bootstrap broker can: refused credentials, and brokers that are
    advertised under a name that does not work here. No credentials are sent. Raises nothing for network
    trouble; never logs or shows a secret.
    """
    if not settings.brokers:
        return told(Cause.NOT_CONFIGURED, "")
    found = _best(_probe(settings, timeout))
    return _with_last_error(found, settings, last_error) if found.cause is Cause.REACHABLE else found


def _probe(settings: Settings, timeout: float) -> list[Diagnosis]:
    """A diagnosis for each broker; threads, since resolving a name cannot be bounded otherwise."""
    deadline = time.monotonic() + timeout
    own_deadline = deadline - timeout / 10  # so that a probe that waited in vain can still say for what
    brokers = settings.brokers[:_MOST_BROKERS]
    answers: queue.SimpleQueue[Diagnosis] = queue.SimpleQueue()
    found = {broker: told(Cause.TIMEOUT, broker) for broker in brokers}
    for broker in found:
        probe = Probe(settings, broker, own_deadline)
        threading.Thread(
            target=lambda probe=probe: answers.put(probe.run()), name="tidings-diagnose", daemon=True
        ).start()
    for _ in range(len(found)):
        try:
            answer = answers.get(timeout=max(deadline - time.monotonic(), 0.001))
        except queue.Empty:
            break
        found[answer.broker] = answer
        if answer.cause is Cause.REACHABLE:
            break
    return list(found.values())


def _best(found: list[Diagnosis]) -> Diagnosis:
    """The one that says most: a broker that answers, else one that was understood, else the rest."""
    best = min(found, key=_rank)
    others = [f"{each.broker}: {each.cause}" for each in found if each.cause is not best.cause]
    if best.cause is Cause.REACHABLE or not others:
        return best
    return Diagnosis(best.cause, f"{best.message} Other brokers: {', '.join(others)}.", best.broker)


def _rank(diagnosis: Diagnosis) -> int:
    if diagnosis.cause is Cause.REACHABLE:
        return -2
    return _LEAST_TELLING.index(diagnosis.cause) if diagnosis.cause in _LEAST_TELLING else -1


def _with_last_error(found: Diagnosis, settings: Settings, last_error: tuple[str, str] | None) -> Diagnosis:
    """A bootstrap broker answers; what did librdkafka stumble over then?"""
    if last_error is None:
        return found
    name, text = last_error[0], _without_secrets(last_error[1], settings)
    if name in {"_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED"}:
        refused = "mechanism handshake failed" in text  # "with SASL mechanism …" stands in every refusal
        cause = Cause.MECHANISM_NOT_ENABLED if refused else Cause.AUTHENTICATION_FAILED
        return told(cause, found.broker, text)
    named = _NAMED.match(text)
    if named and named[1] not in settings.brokers:
        return told(Cause.ADVERTISED_UNREACHABLE, named[1], text)
    if name == "_SSL":
        return told(Cause.TLS_FAILED, found.broker, text)
    return told(Cause.REACHABLE, found.broker, f"the Kafka client says {name}: {text}")


def _without_secrets(text: str, settings: Settings) -> str:
    """librdkafka shows no secrets that we know of; an identity provider's answer in its text might."""
    for secret in (settings.password, settings.oauth_client_secret, settings.ssl_key_password):
        if secret is not None and secret.get_secret_value():
            text = text.replace(secret.get_secret_value(), "**********")
    text = " ".join(text.split())
    return text if len(text) <= 300 else text[:300] + "…"
