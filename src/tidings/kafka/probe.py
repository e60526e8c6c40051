"""One broker's listener, tried with sockets of our own: what is it, and why can we not talk to it?"""

from __future__ import annotations

import socket
import ssl
import time

from tidings.kafka.causes import Cause, Diagnosis, told
from tidings.kafka.hello import NotKafkaError, Sasl, ask_brokers, ask_sasl, greet
from tidings.kafka.tls import cause_of, context_of, trusting_context
from tidings.settings import Settings

_SILENT = "it accepts the connection, then says nothing"
_SPEAKS_PERHAPS_NO_TLS = {Cause.TLS_FAILED, Cause.CLOSED, Cause.TIMEOUT}


class _NoConnectionError(Exception):
    """The broker could not even be connected to; ``args`` are the cause and a detail."""


class Probe:
    """Tries one broker until ``deadline`` (time.monotonic). ``run`` raises nothing for network trouble."""

    def __init__(self, settings: Settings, broker: str, deadline: float) -> None:
        self._settings = settings
        self._broker = broker
        host, _, port = broker.rpartition(":")
        self._host = host.removeprefix("[").removesuffix("]")
        self._port = int(port)
        self._deadline = deadline

    def run(self) -> Diagnosis:
        """What is found at this broker."""
        try:
            return self._secure() if self._settings.ssl else self._plain()
        except _NoConnectionError as failure:
            return self._told(*failure.args)

    def _plain(self) -> Diagnosis:
        """We speak plaintext. A TLS port closes, sends an alert or stays silent: then TLS is tried."""
        half = self._half()
        try:
            with self._connect(half) as stream:
                greet(stream, half)
                return self._authentication(stream, None)
        except NotKafkaError as error:
            found = self._told(Cause.NOT_KAFKA, str(error))
        except TimeoutError:
            found = self._told(Cause.TIMEOUT, _SILENT)
        except (EOFError, OSError):
            found = self._told(Cause.CLOSED)
        return self._told(Cause.TLS_EXPECTED) if self._speaks_tls() else found

    def _speaks_tls(self) -> bool:
        try:
            self._shake(trusting_context(), self._deadline).close()
        except ssl.SSLError as error:
            return cause_of(error, certificate_given=False) not in {Cause.CLOSED, None}
        except OSError:
            return False
        return True

    def _secure(self) -> Diagnosis:
        """We speak TLS. If the handshake does not get far enough to tell why, plaintext is tried."""
        try:
            context = context_of(self._settings)
        except (OSError, ValueError):
            return self._told(Cause.TLS_FAILED, "SSL_CA, SSL_CERT or SSL_KEY cannot be loaded")
        half = self._half()
        try:
            stream = self._shake(context, half)
        except OSError as error:  # SSLError and TimeoutError are two of them
            found = self._tls_failure(error)
            return self._without_tls(found) if found.cause in _SPEAKS_PERHAPS_NO_TLS else found
        with stream:
            try:
                greet(stream, half)
                return self._authentication(stream, context)
            except NotKafkaError as error:
                return self._told(Cause.NOT_KAFKA, str(error))
            except TimeoutError:
                return self._told(Cause.TIMEOUT, _SILENT)
            except (EOFError, OSError):
                pass  # in TLS 1.3 a client's certificate is refused only now
        return self._refusal(context)

    def _refusal(self, context: ssl.SSLContext) -> Diagnosis:
        """Why it closed after the handshake. What it says is lost if we send something: so listen only."""
        try:
            with self._shake(context, self._deadline) as stream:
                stream.recv(1)
        except ssl.SSLError as error:
            return self._tls_failure(error)
        except OSError:
            pass  # it says nothing, or closes the hard way
        return self._told(Cause.CLOSED, "after TLS was agreed; it may want a client certificate")

    def _tls_failure(self, error: OSError) -> Diagnosis:
        if isinstance(error, TimeoutError):
            return self._told(Cause.TIMEOUT, _SILENT)
        if not isinstance(error, ssl.SSLError):
            return self._told(Cause.CLOSED)
        cause = cause_of(error, certificate_given=self._settings.ssl_cert is not None) or Cause.TLS_FAILED
        words = getattr(error, "verify_message", None) or (error.reason or "").replace("_", " ").lower()
        return self._told(cause, "" if cause is Cause.CLOSED else words)

    def _without_tls(self, found: Diagnosis) -> Diagnosis:
        try:
            with self._connect(self._deadline) as stream:
                greet(stream, self._deadline)
        except NotKafkaError as error:
            return self._told(Cause.NOT_KAFKA, str(error))
        except (EOFError, OSError):
            return found
        return self._told(Cause.PLAINTEXT_EXPECTED)

    def _authentication(self, stream: socket.socket, context: ssl.SSLContext | None) -> Diagnosis:
        """The listener is Kafka's, and TLS is right; is SASL? Not all that speak Kafka's protocol can say."""
        ours = self._settings.sasl_mechanism
        try:
            if ours is None:
                return self._anonymous(stream, context)
            sasl = ask_sasl(stream, self._deadline, ours.upper())
        except (NotKafkaError, EOFError, OSError):
            return self._told(Cause.REACHABLE)
        if not sasl.wanted:
            return self._told(Cause.SASL_NOT_EXPECTED)
        if not sasl.ours_offered:
            return self._told(Cause.MECHANISM_NOT_ENABLED, _offer(sasl))
        return self._told(Cause.REACHABLE)

    def _anonymous(self, stream: socket.socket, context: ssl.SSLContext | None) -> Diagnosis:
        """Without SASL: some brokers answer a SASL handshake though they want none, so ask something else."""
        try:
            ask_brokers(stream, self._deadline)
        except (EOFError, ConnectionError):
            with self._shake(context, self._deadline) if context else self._connect(self._deadline) as again:
                sasl = ask_sasl(again, self._deadline, "PLAIN")
            if sasl.wanted:
                return self._told(Cause.SASL_EXPECTED, _offer(sasl))
        return self._told(Cause.REACHABLE)

    def _shake(self, context: ssl.SSLContext, deadline: float) -> ssl.SSLSocket:
        """A TLS connection; closed again if the handshake fails. Raises as ``_connect``, and SSLError."""
        return context.wrap_socket(self._connect(deadline), server_hostname=self._host.rstrip("."))

    def _connect(self, deadline: float) -> socket.socket:
        """A connection to the first of the broker's addresses that takes one. Raises _NoConnectionError."""
        try:
            addresses = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise _NoConnectionError(Cause.UNRESOLVABLE) from None
        failure = _NoConnectionError(Cause.TIMEOUT)
        for tried, (family, _, _, _, where) in enumerate(addresses):
            left = max(deadline - time.monotonic(), 0.001) / (len(addresses) - tried)
            stream = socket.socket(family, socket.SOCK_STREAM)
            stream.settimeout(left)
            try:
                stream.connect(where)
            except OSError as error:
                stream.close()
                failure = _failure(error)
            else:
                stream.settimeout(max(deadline - time.monotonic(), 0.001))
                return stream
        raise failure

    def _half(self) -> float:
        """When the first try must be over, so that a second can tell what the first ran into."""
        return (time.monotonic() + self._deadline) / 2

    def _told(self, cause: Cause, detail: str = "") -> Diagnosis:
        return told(cause, self._broker, detail)


def _offer(sasl: Sasl) -> str:
    return f"it offers {', '.join(sasl.mechanisms)}" if sasl.mechanisms else ""


def _failure(error: OSError) -> _NoConnectionError:
    if isinstance(error, ConnectionRefusedError):
        return _NoConnectionError(Cause.REFUSED)
    if isinstance(error, TimeoutError):
        return _NoConnectionError(Cause.TIMEOUT)
    return _NoConnectionError(Cause.UNREACHABLE, error.strerror or "")
