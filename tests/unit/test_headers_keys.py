"""Headers and keys: what a user may give, and how it is refused."""

from __future__ import annotations

import dataclasses
import enum
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.ids import named
from tidings import InvalidEvent, Personal
from tidings.events.headers import ENVELOPED, RAW, HeaderCheck, headers_size
from tidings.events.keys import encode_key, key_reader

printable = st.text(st.characters(exclude_categories=["Cs", "Cc"]))
names = printable.filter(
    lambda name: (
        name
        and not name.lower().startswith("tidings-")
        and name.lower() not in {"event_id", "event_type", "correlation_id", "content-type"}
    )
)
values = printable | st.binary() | st.none()


@given(st.lists(st.tuples(names, values)))
def test_headers_come_out_in_order_as_bytes(pairs: list[tuple[str, str | bytes | None]]) -> None:
    expected = [(name, value.encode() if isinstance(value, str) else value) for name, value in pairs]
    for check in (RAW, ENVELOPED):
        assert check.pairs(pairs) == expected
        assert check.pairs(iter(pairs)) == expected
        assert check.pairs(dict(pairs)) == list(dict(expected).items())


@pytest.mark.parametrize("again", [1, 2])
@pytest.mark.parametrize("check", [RAW, ENVELOPED])
@pytest.mark.parametrize(
    "headers",
    [
        {"": "x"},
        {"a\x00": "x"},
        {"a\n": "x"},
        {"a\x1f": "x"},
        {"a\x7f": "x"},
        {"a\x85": "x"},
        {"a\ud800": "x"},
        {"a": "x\x00"},
        {"a": "x\r\ny: z"},
        {"a": "\ud800"},
        {"a": 5},
        {"a": True},
        {"a": ["x"]},
        {"a": bytearray(b"x")},
        {5: "x"},
        {None: "x"},
        {b"a": "x"},
        {"event_id": "x"},
        {"Event_ID": b"x"},
        {"tidings-resent": "x"},
        {"TIDINGS-anything": None},
        "abc",
        b"abc",
        [("a",)],
        [("a", "b", "c")],
        [None],
        [[["a"], "x"]],
        5,
        object(),
    ],
    ids=named,
)
def test_bad_headers_are_refused_the_second_time_too(check: HeaderCheck, headers: Any, again: int) -> None:
    for _ in range(again):
        with pytest.raises(InvalidEvent) as raised:
            check.pairs([("fine", "x"), *headers.items()] if isinstance(headers, dict) else headers)
        str(raised.value).encode()


@pytest.mark.parametrize("name", ["event_type", "correlation_id", "content-type", "Content-Type"])
def test_an_envelopes_own_names_are_free_where_there_is_none(name: str) -> None:
    assert RAW.pairs({name: "x"}) == [(name, b"x")]
    with pytest.raises(InvalidEvent, match="written by tidings itself"):
        ENVELOPED.pairs({name: "x"})


def test_bytes_are_taken_as_they_are() -> None:
    class Sub(bytes):
        pass

    pairs = RAW.pairs({"a": b"\x00\xff\n", "b": Sub(b"x")})
    assert pairs == [("a", b"\x00\xff\n"), ("b", b"x")]
    assert type(pairs[1][1]) is bytes


def test_remembering_names_is_bounded() -> None:
    check = HeaderCheck(frozenset())
    for number in range(10_000):
        check.pairs({f"x-{number}": "1"})
    assert len(check._names) <= 4096


def test_the_size_of_headers_is_names_and_values() -> None:
    assert headers_size([("abc", b"12345"), ("d", None)]) == 9


class Number(enum.IntEnum):
    ONE = 1


class Word(enum.StrEnum):
    A = "a"


class SubStr(str):
    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"something else"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (None, None),
        ("", b""),
        ("grüße", "grüße".encode()),
        (b"\x00\xff", b"\x00\xff"),
        (bytearray(b"x"), b"x"),
        (memoryview(b"xyz")[::2], b"xz"),
        (0, b"0"),
        (-(2**70), str(-(2**70)).encode()),
        (UUID(int=1), b"00000000-0000-0000-0000-000000000001"),
        (Number.ONE, b"1"),
        (Word.A, b"a"),
    ],
)
def test_keys(key: object, expected: bytes | None) -> None:
    assert encode_key(key) == expected


@pytest.mark.parametrize(
    "key",
    [1.5, True, False, ("a",), ["a"], {}, object(), "\ud800", 10**5000, str],
    ids=lambda key: type(key).__name__,
)
def test_what_only_looks_like_a_key_is_refused(key: object) -> None:
    with pytest.raises(InvalidEvent, match="key"):
        encode_key(key)


def test_how_a_key_is_read() -> None:
    class Customer:
        id = "c-1"

    class Order:
        customer = Customer()

    assert key_reader("customer.id")(Order()) == "c-1"
    assert key_reader(lambda order: order.customer.id)(Order()) == "c-1"
    with pytest.raises(InvalidEvent, match="ZeroDivisionError"):
        key_reader(lambda _: 1 // 0)(Order())


def test_a_key_function_that_fails_shows_nothing_that_is_marked() -> None:
    @dataclasses.dataclass
    class Account:
        email: Annotated[str, Personal]

    def by_domain(account: Account) -> str:
        raise LookupError(f"no domain in {account.email}")

    with pytest.raises(InvalidEvent, match=r"no domain in \*\*\*") as raised:
        key_reader(by_domain)(Account("ada.example.org"))
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
