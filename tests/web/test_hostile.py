"""What strangers send: huge, broken, forged. Bounded, never a crash, and no line of a log that they wrote."""

from __future__ import annotations

import gzip
import json
import logging
import time
import tracemalloc
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.asgi import Answer, ask, call, environ, scope
from tidings import Publisher
from tidings.errors import EventTooLarge
from tidings.events.catalogue import AuditEntry
from tidings.events.codec import to_json
from tidings.publishing.senders import FanOutSender, InMemorySender, LoggingSender
from tidings.testing import InMemoryTransport
from tidings.web.asgi import AuditMiddleware
from tidings.web.clients import Proxies, parse
from tidings.web.kafka import audit_sender
from tidings.web.redacting import Redactor
from tidings.web.wsgi import WSGIAuditMiddleware

JSON = (b"content-type", b"application/json; charset=utf-8")
BOUND = 20_000
"""Bytes: an entry without a body is never larger."""


async def reading(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    environ["wsgi.input"].read()
    start_response("200 OK", [])
    return [b"ok"]


def asked(request: dict[str, Any], body: Any = (b"",), **options: Any) -> tuple[AuditEntry, Answer, str]:
    """The entry, the answer, and the entry as it leaves."""
    sender = InMemorySender()
    answer = ask(AuditMiddleware(reading, FanOutSender(sender, LoggingSender()), **options), request, body)
    assert answer.body == b"ok"
    ((_, entry),) = sender.sent
    assert isinstance(entry, AuditEntry)
    return entry, answer, to_json(entry).decode()


@pytest.mark.parametrize(
    "name",
    ["host", "user-agent", "x-correlation-id", "x-forwarded-for", "forwarded", "content-type", "x-other"],
)
@pytest.mark.parametrize("times", [1, 3000], ids=["one of 100 KB", "thousands"])
def test_headers_of_100_kb(name: str, times: int) -> None:
    headers = [(name.encode(), b"1.2.3.4," * (12_500 if times == 1 else 4)) for _ in range(times)]
    entry, answer, _ = asked(scope(headers=headers), trusted_proxies=["0.0.0.0/0"], capture_body=True)
    assert len(msgspec.json.encode(entry)) < BOUND
    assert sum(len(n) + len(v) for n, v in answer.pairs) < 400


@pytest.mark.parametrize(
    "path", ["/\udcff\udcfe", "/\ufffd", "/a\r\nERROR forged", "/\x1b[31m", "/" + "x" * 100_000]
)
def test_paths_that_are_no_text(path: str) -> None:
    entry, _, wire = asked(scope(path, query_string=b"q=\xff\r\n&password=\xffhidden"))
    assert entry.resource is not None
    assert entry.full_url is not None
    assert entry.resource.isprintable()
    assert entry.full_url.isprintable()
    assert len(wire) < BOUND
    assert "hidden" not in wire
    sender = InMemorySender()
    raw = path.encode("utf-8", "surrogateescape").decode("latin-1")
    assert call(WSGIAuditMiddleware(wsgi, sender), environ(raw, QUERY_STRING="\xff=\xff")).body == b"ok"
    assert len(sender.sent) == 1


def test_headers_cannot_be_injected_nor_lines_of_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tidings")
    nasty = b"x\r\nSet-Cookie: admin=1\r\n\r\nCRITICAL forged\x85\xe2\x80\xa8"
    names = [b"x-correlation-id", b"x-request-id", b"user-agent", b"host", b"x-forwarded-for", b"traceparent"]
    entry, answer, wire = asked(
        scope("/a\nCRITICAL forged", "GET\nCRITICAL", [(name, nasty) for name in names]),
        trusted_proxies=["203.0.113.9"],
    )
    assert [name for name, _ in answer.pairs] == [b"x-correlation-id"]
    assert answer.headers["x-correlation-id"] == entry.id
    assert entry.source_ip == "203.0.113.9"
    assert "\n" not in wire
    for record in caplog.records:
        assert record.getMessage().isprintable()
        assert record.levelname == "INFO"
    for text in (entry.user_agent, entry.full_url, entry.http_method, entry.endpoint):
        assert text is not None
        assert text.isprintable()


def test_a_forged_traceparent_is_nobodys(caplog: pytest.LogCaptureFixture) -> None:
    forged = b"00-" + b"f" * 32 + b"-" + b"0" * 16 + b"-ff\r\nx"
    _, answer, wire = asked(scope(headers=[(b"traceparent", forged), (b"tracestate", b"=" * 5000)]))
    assert "ffffffff" not in wire
    assert set(answer.headers) == {"x-correlation-id"}


@pytest.mark.parametrize("most", [1000, 262_144])
def test_a_json_body_of_10_mb_is_bounded(most: int) -> None:
    body = json.dumps({"password": "hidden", "rows": ["x" * 1000] * 10_000}).encode()
    parts = [body[at : at + 65_536] for at in range(0, len(body), 65_536)]
    tracemalloc.start()
    entry, _, wire = asked(scope("/", "POST", [JSON]), parts, capture_body=most)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert entry.payload == {
        "omitted": f"more than {most} bytes",
        "content_type": "application/json",
        "size": len(body),
    }
    assert "hidden" not in wire
    assert peak < 4_000_000


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"identity, gzip", b"GZIP"])
def test_nothing_is_unpacked(encoding: bytes) -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    headers = [JSON, (b"content-encoding", encoding)]
    entry, _, _ = asked(scope("/", "POST", headers), [bomb], capture_body=262_144)
    assert entry.payload == {
        "omitted": "it is compressed",
        "content_type": "application/json",
        "size": len(bomb),
    }


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 16_000,
        b'{"a":' * 3000 + b"1" + b"}" * 3000,
        b"[" * 300 + b"]" * 300,
        b"\xff\xfe",
        b"{",
        b'"\\ud800"',
        b"NaN",
    ],
    ids=["brackets", "deep", "300 deep", "no text", "torn", "surrogate", "nan"],
)
def test_documents_that_break_readers(body: bytes) -> None:
    entry, _, wire = asked(scope("/", "POST", [JSON]), [body], capture_body=True)
    assert len(wire) < BOUND
    assert entry.outcome == "success"


def test_a_form_of_many_fields_takes_no_time() -> None:
    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    start = time.process_time()
    entry, _, _ = asked(scope("/", "POST", headers), [b"a=1&" * 60_000], capture_body=262_144)
    assert entry.payload["omitted"] == "it is not what its content type says"
    assert time.process_time() - start < 5
    entry, _, wire = asked(
        scope("/", "POST", headers),
        [b"user=ann&Pass%57ord=hidden&x=1&x=%7B%22token%22%3A%22hidden%22%7D"],
        capture_body=True,
    )
    assert entry.payload == {"user": "ann", "PassWord": "***", "x": ["1", '{"token":"***"}']}
    assert "hidden" not in wire


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"url":"/x?a=1&b=2","password":"hidden"}', {"url": "/x?a=1&b=2", "password": "***"}),
        (b' [{"token":"hidden==&"}]\n', [{"token": "***"}]),
        (b'{"url":"/x?a=1","password":"hidden"', None),
        (b'data={"password":"a&hidden"}', None),
        (b'data={"note":"R&D","password":"hidden"}', None),
    ],
)
def test_json_that_is_called_a_form(body: bytes, shown: Any) -> None:
    """As ``curl -d`` does."""
    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    entry, _, wire = asked(scope("/", "POST", headers), [body], capture_body=True)
    assert "hidden" not in wire
    if shown is None:
        assert entry.payload["omitted"] == "it is not what its content type says"
    else:
        assert entry.payload == shown


@pytest.mark.parametrize("length", [0, 3000, 17_000])
def test_a_query_is_redacted_before_it_is_cut(length: int) -> None:
    query = "a=1&f=" + quote(json.dumps({"password": "hidden", "comment": "z" * length}))
    entry, _, wire = asked(scope("/x", query_string=query.encode()))
    assert "hidden" not in wire
    assert entry.full_url is not None
    assert len(entry.full_url) <= 2048
    assert entry.full_url.partition("?")[2][:4] == ("…" if length == 17_000 else "a=1&")


def test_secrets_never_leave_at_any_depth() -> None:
    secrets = [
        "password",
        "Pass-Word",
        "new_password2",
        "ｐａｓｓｗｏｒｄ",
        "client_secret",
        "accessToken",
        "API-Key",
        "Set-Cookie",
    ]
    secrets += ["Authorization", "cookie", "pwd", "cvv", "x-session-id", "credentials", "IBAN"]
    body: Any = {"kept": "yes", "author": "ann", "passenger": "bob", "tokens": "hidden"}
    for name in secrets:
        body = {
            name: {"deep": ["hidden"]},
            "list": [1, [body]],
            "text": json.dumps({name: "hidden"}),
            "x": body,
        }
        if len(json.dumps(body)) > 100_000:
            body = {"list": [body["list"]], name: "hidden"}
    entry, _, wire = asked(
        scope("/", "POST", [JSON, (b"authorization", b"Bearer hidden"), (b"cookie", b"sid=hidden")]),
        [json.dumps(body).encode()],
        capture_body=262_144,
        redact=["iban"],
    )
    assert entry.payload is not None
    assert "hidden" not in wire


def test_what_is_no_secret_stays() -> None:
    body = {
        "name": "ann",
        "author": "bob",
        "shipping": "sea",
        "opinion": [1, None, True, 2.5],
        "text": "{not json",
    }
    entry, _, _ = asked(scope("/", "POST", [JSON]), [json.dumps(body).encode()], capture_body=True)
    assert entry.payload == body


@pytest.mark.parametrize(
    "kind", [b"multipart/form-data; boundary=x", b"text/plain", b"application/octet-stream", b""]
)
def test_what_cannot_be_redacted_is_left_out(kind: bytes) -> None:
    headers = [(b"content-type", kind)]
    entry, _, wire = asked(scope("/", "POST", headers), [b"password=hidden"], capture_body=True)
    assert entry.payload["omitted"] == "neither JSON nor a form"
    assert entry.payload["size"] == 15
    assert "hidden" not in wire


@pytest.mark.parametrize("number", [b"1e999", b"9" * 40, b"-" + b"9" * 5000, b"0." + b"1" * 5000])
def test_numbers_that_nobody_can_write_again(number: bytes) -> None:
    """An entry whose payload cannot be encoded would be an entry that a client can prevent."""
    transport = InMemoryTransport()
    with Publisher(transport=transport) as publisher:
        app = AuditMiddleware(reading, audit_sender(publisher), capture_body=True)
        ask(app, scope("/", "POST", [JSON]), [b'{"a": ' + number + b"}"])
        assert (app.stats().recorded, app.stats().failed) == (1, 0)
    assert transport.events("audit-events")[0]["payload"]


def test_an_entry_that_is_too_large_goes_without_the_body() -> None:
    class Small(InMemorySender):
        def send(self, key: Any, value: object) -> None:
            if len(to_json(value)) > 2000:
                raise EventTooLarge("Too large.")
            super().send(key, value)

    sender = Small()
    app = AuditMiddleware(reading, sender, capture_body=True)
    ask(app, scope("/", "POST", [JSON]), [json.dumps({"a": "x" * 5000}).encode()])
    ((_, entry),) = sender.sent
    assert isinstance(entry, AuditEntry)
    assert entry.payload["omitted"] == "more than MAX_EVENT_BYTES"


def test_what_on_reject_log_refuses_has_failed_all_the_same() -> None:
    large = [json.dumps({"a": "x" * 5000}).encode()]
    for most, recorded in ((3000, 1), (100, 0)):
        transport = InMemoryTransport()
        with Publisher(transport=transport, on_reject="log", max_event_bytes=most) as publisher:
            app = AuditMiddleware(reading, audit_sender(publisher), capture_body=True)
            assert ask(app, scope("/", "POST", [JSON]), large).body == b"ok"
        omitted = [it["payload"]["omitted"] for it in transport.events("audit-events")]
        assert omitted == ["more than MAX_EVENT_BYTES"] * recorded
        assert (app.stats().recorded, app.stats().failed) == (recorded, 1 - recorded)


def test_a_request_that_no_entry_can_be_made_of_is_answered() -> None:
    sender = InMemorySender()
    app = AuditMiddleware(reading, sender, trusted_proxies=["10.0.0.0/8"])
    assert ask(app, {**scope("/"), "client": (["no", "address"], 1)}).body == b"ok"
    assert not sender.sent
    assert app.stats().failed == 1


TRUSTED = ["10.0.0.0/8", "2001:db8::/32", "unix"]


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        ("203.0.113.9", {"x-forwarded-for": "1.2.3.4"}, "203.0.113.9"),
        ("10.0.0.1", {}, "10.0.0.1"),
        ("10.0.0.1", {"x-forwarded-for": "1.2.3.4"}, "1.2.3.4"),
        ("10.0.0.1", {"x-forwarded-for": "6.6.6.6, 1.2.3.4, 10.9.9.9"}, "1.2.3.4"),
        ("10.0.0.1", {"x-forwarded-for": "10.6.6.6, 10.1.1.1"}, "10.6.6.6"),
        ("10.0.0.1", {"x-forwarded-for": "6.6.6.6, nonsense, 10.1.1.1"}, "10.1.1.1"),
        ("10.0.0.1", {"x-forwarded-for": "nonsense"}, "10.0.0.1"),
        ("10.0.0.1", {"x-forwarded-for": "1.2.3.4:5678"}, "1.2.3.4"),
        ("10.0.0.1", {"x-forwarded-for": "[2001:db9::7]:443"}, "2001:db9::7"),
        ("2001:db8::1", {"x-forwarded-for": "2001:db9::7"}, "2001:db9::7"),
        ("::ffff:10.0.0.1", {"x-forwarded-for": "::ffff:1.2.3.4"}, "1.2.3.4"),
        ("10.0.0.1", {"x-forwarded-for": "fe80::1%<script>"}, "10.0.0.1"),
        (None, {"x-forwarded-for": "1.2.3.4"}, "1.2.3.4"),
        ("10.0.0.1", {"forwarded": 'for=6.6.6.6;proto=http, For="[2001:db9::7]:1"'}, "2001:db9::7"),
        ("10.0.0.1", {"forwarded": 'for="6.6.6.6, for=1.2.3.4'}, "1.2.3.4"),
        ("10.0.0.1", {"forwarded": "for=unknown"}, "10.0.0.1"),
        ("10.0.0.1", {"forwarded": "for=6.6.6.6", "x-forwarded-for": "1.2.3.4"}, "1.2.3.4"),
    ],
)
def test_the_clients_address(peer: str | None, headers: dict[str, str], client: str) -> None:
    assert Proxies(TRUSTED).client(peer, headers) == client


def test_the_header_of_the_proxies_can_be_named() -> None:
    both = {"forwarded": "for=1.2.3.4", "x-forwarded-for": "6.6.6.6"}
    assert Proxies(TRUSTED, "Forwarded").client("10.0.0.1", both) == "1.2.3.4"
    assert Proxies(TRUSTED, "X-Forwarded-For").client("10.0.0.1", {"forwarded": "for=6.6.6.6"}) == "10.0.0.1"
    assert Proxies().client(None, both) is None


@given(
    st.text(),
    st.sampled_from(["x-forwarded-for", "forwarded"]),
    st.sampled_from(["10.0.0.1", "1.1.1.1", None]),
)
def test_whatever_is_written_the_answer_is_an_address(text: str, name: str, peer: str | None) -> None:
    found = Proxies(TRUSTED).client(peer, {name: text})
    assert found == peer or (found is not None and parse(found) is not None)


@given(st.lists(st.ip_addresses(v=4), min_size=1, max_size=5), st.text(alphabet='0123456789., "=;abcfor:[]%'))
def test_what_a_client_writes_changes_nothing_right_of_it(hops: list[Any], forged: str) -> None:
    """A trusted proxy appends the true peer: whatever stood there before, the answer is the same."""
    proxies = Proxies(["10.0.0.0/8"])
    written = ", ".join(["1.2.3.4", *(f"10.0.0.{n}" for n in range(len(hops)))])
    assert proxies.client("10.0.0.1", {"x-forwarded-for": f"{forged},{written}"}) == "1.2.3.4"


JsonValue = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(JsonValue, st.sampled_from(["password", "PASSWORD", "x_token", "Api.Key"]))
def test_a_value_under_a_secret_name_is_gone(value: Any, name: str) -> None:
    redacted = Redactor().value({"outer": [{name: ["s3cr3t", value]}]})
    assert redacted == {"outer": [{name: "***"}]}
    msgspec.json.encode(Redactor().value(value))


@given(st.text())
def test_redacting_a_query_raises_nothing(query: str) -> None:
    assert "s3cr3t" not in Redactor().query(f"{query}&token=s3cr3t")
