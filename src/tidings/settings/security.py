"""Fields: how to prove who we are (SASL) and whom we trust (TLS)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from tidings.settings.base import Group
from tidings.settings.values import label, mapping, readable, readable_file

Mechanism = Literal["plain", "scram-sha-256", "scram-sha-512", "oauthbearer"]

File = Annotated[Path, BeforeValidator(readable_file)]


def _mechanism(value: object) -> object:
    if not isinstance(value, str):
        return value
    name = value.strip().lower().replace("_", "-")
    if name in {"gssapi", "kerberos"}:
        raise ValueError(
            "GSSAPI (Kerberos) is not available: the librdkafka that confluent-kafka's wheels bring is built "
            "without it; use scram-sha-512, oauthbearer, or client certificates (SSL_CERT)"
        )
    return name


def _url(value: str) -> str:
    if not value.startswith(("http://", "https://")) or value != value.strip():
        raise ValueError("must be an http:// or https:// URL")  # not shown: it may hold credentials
    return value


class Security(Group):
    """SASL and TLS. Nothing set: plaintext without authentication, as Kafka's own default."""

    username: Annotated[str, AfterValidator(label)] | None = None
    """The SASL user; alone it means SASL_MECHANISM plain. librdkafka: ``sasl.username``."""

    password: SecretStr | None = None
    """The SASL password; or give PASSWORD_FILE. librdkafka: ``sasl.password``."""

    password_file: File | None = None
    """A file that holds the SASL password, such as a mounted secret; a newline at its end does not count.
    It is read whenever a client is made, so a rotated password is found by the next client."""

    sasl_mechanism: Annotated[Mechanism | None, BeforeValidator(_mechanism)] = Field(
        default_factory=lambda data: "plain" if data.get("username") else None
    )
    """``plain``, ``scram-sha-256``, ``scram-sha-512`` or ``oauthbearer``; must be enabled on the brokers'
    listener. Default: plain if there is a USERNAME, else no SASL. librdkafka: ``sasl.mechanism``."""

    oauth_token_url: Annotated[str, AfterValidator(_url)] | None = None
    """oauthbearer: the identity provider's token endpoint; tokens are fetched and renewed by librdkafka.
    librdkafka: ``sasl.oauthbearer.token.endpoint.url``, with ``sasl.oauthbearer.method=oidc``."""

    oauth_client_id: Annotated[str, AfterValidator(label)] | None = None
    """oauthbearer: who we are at the token endpoint. librdkafka: ``sasl.oauthbearer.client.id``."""

    oauth_client_secret: SecretStr | None = None
    """oauthbearer: our secret at the token endpoint. librdkafka: ``sasl.oauthbearer.client.secret``."""

    oauth_scope: str | None = None
    """oauthbearer: the scope asked for, if the provider wants one. librdkafka: ``sasl.oauthbearer.scope``."""

    oauth_extensions: Annotated[dict[str, str], BeforeValidator(mapping)] = Field(default_factory=dict)
    """oauthbearer: what to tell the broker beside the token, ``logicalCluster=lkc-1,identityPoolId=pool-1``.
    librdkafka: ``sasl.oauthbearer.extensions``."""

    oauth_token_provider: Callable[[str], tuple[str, float]] | None = Field(
        default=None, repr=False, exclude=True
    )
    """oauthbearer, in code only: returns a token and when it expires (seconds since 1970), for providers that
    OAUTH_TOKEN_URL does not fit. Called when the client is made, which fails after 10 s without a token, and
    then on the polling thread: it must not take long. confluent-kafka: ``oauth_cb``."""

    ssl: bool = False
    """TLS. False by default, as in Kafka. librdkafka: ``security.protocol``."""

    ssl_ca: Annotated[Path, BeforeValidator(readable)] | None = None
    """The CA certificates to trust: a PEM file, or a directory of hashed ones. Default: the system's.
    librdkafka: ``ssl.ca.location``."""

    ssl_cert: File | None = None
    """Our certificate (PEM), for brokers that ask for one. librdkafka: ``ssl.certificate.location``."""

    ssl_key: File | None = None
    """The private key (PEM) of SSL_CERT. librdkafka: ``ssl.key.location``."""

    ssl_key_password: SecretStr | None = None
    """The password of SSL_KEY, if it has one. librdkafka: ``ssl.key.password``."""

    ssl_verify: bool = True
    """False: any broker is believed, so anyone on the way can read and change events and take the password;
    a warning says so at each start. librdkafka: ``enable.ssl.certificate.verification``."""

    @property
    def sasl_password(self) -> str | None:
        """The SASL password in the clear, from PASSWORD or, read now, from PASSWORD_FILE. Raises OSError."""
        if self.password is not None:
            return self.password.get_secret_value()
        if self.password_file is not None:
            return self.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        return None
