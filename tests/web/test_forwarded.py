"""Forwarded (RFC 7239): whatever a client wrote, the trusted proxy's word behind it counts."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.web.clients import Proxies

NASTY = '",;=\\ for6.[]:%\t'
texts = st.text(
    st.one_of(st.sampled_from(NASTY), st.characters(min_codepoint=32, max_codepoint=255)), max_size=60
)
tokens = st.from_regex(r"[a-z0-9-]{1,8}", fullmatch=True).filter(lambda name: name != "for")


def quoted(text: str) -> str:
    """A quoted-string of RFC 9110."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@st.composite
def elements(draw: st.DrawFn, address: str) -> str:
    """One element as a proxy writes it: ``for`` somewhere, among pairs that repeat what a client sent."""
    written = draw(st.sampled_from([address, quoted(address), quoted(f"{address}:4711"), f"{address}:80"]))
    pair = st.tuples(tokens, texts.map(quoted) | tokens).map("=".join)
    pairs = [*draw(st.lists(pair, max_size=3)), f"{draw(st.sampled_from(['for', 'For', 'FOR']))}={written}"]
    return draw(st.sampled_from([";", "; ", " ;"])).join(draw(st.permutations(pairs)))


@given(
    texts,
    st.sampled_from([",", ", ", " ,\t"]),
    elements("1.2.3.4"),
    st.lists(elements("10.7.7.7"), max_size=2),
)
def test_whatever_a_client_sends_the_proxys_word_counts(
    garbage: str, comma: str, element: str, nearer: list[str]
) -> None:
    written = comma.join([garbage, element, *nearer])
    assert Proxies(["10.0.0.0/8"]).client("10.0.0.1", {"forwarded": written}) == "1.2.3.4"


@pytest.mark.parametrize(
    ("written", "client"),
    [
        ('for=1.2.3.4;host="a, for=6.6.6.6"', "1.2.3.4"),
        ('host="x;for=6.6.6.6";for=1.2.3.4', "1.2.3.4"),
        ('for=1.2.3.4;host="a\\", for=6.6.6.6"', "1.2.3.4"),
        ('for=6.6.6.6, for="1.2.3.4', "10.0.0.1"),
        ('left out by the server;for=6.6.6.6";proto=http', "10.0.0.1"),
        ('host=a"b;for=6.6.6.6', "10.0.0.1"),
        ("for=1.2.3.4;for=6.6.6.6", "1.2.3.4"),
        ("proto=https", "10.0.0.1"),
        ("", "10.0.0.1"),
    ],
)
def test_quotes(written: str, client: str) -> None:
    assert Proxies(["10.0.0.0/8"]).client("10.0.0.1", {"forwarded": written}) == client


@pytest.mark.parametrize("part", ['"', "\\", " ", ",", ";", "=", '",', '\\"', "a=", "for=10.1.1.1,", "a= "])
def test_reading_takes_time_by_length_alone(part: str) -> None:
    proxies = Proxies(["10.0.0.0/8"])
    start = time.process_time()
    for end in ("", '"', "x"):
        proxies.client("10.0.0.1", {"forwarded": part * (100_000 // len(part)) + end})
    assert time.process_time() - start < 5  # where it went by the square: minutes
