"""AsyncAPI documents: valid by the official schema, and true of what is on the wire."""

from __future__ import annotations

import dataclasses
import enum
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NewType, TypedDict, Union
from uuid import UUID

import msgspec
import pydantic
import pytest
import typing_extensions
from jsonschema import Draft7Validator

from support.asyncapi_schema import official_schema
from support.books import MakePublisher, settle
from support.scripts import run_script
from tidings import ConfigError, Registry
from tidings.events.asyncapi import asyncapi
from tidings.events.catalogue import registry as catalogue
from tidings.events.envelope import Envelope
from tidings.events.privacy import Personal, Secret
from tidings.events.schemas.classes import changed, schema_of
from tidings.events.schemas.documents import dump, read, write
from tidings.events.schemas.keys import key_schema
from tidings.events.schemas.wire import Format
from tidings.testing.memory import InMemoryTransport

FORMATS: tuple[Format, ...] = ("json", "cloudevents", "cloudevents-binary")
OrderId = NewType("OrderId", str)
registry = Registry()


class Colour(enum.StrEnum):
    """Colours there are."""

    RED = "red"
    BLUE = "blue"


class Address(msgspec.Struct):
    """Where somebody lives."""

    street: str
    zip_code: Annotated[str, msgspec.Meta(pattern="^[0-9]{5}$")] = "00000"


class Card(msgspec.Struct, tag="card"):
    number: str
    held: timedelta | None = None


class Cash(msgspec.Struct, tag="cash"):
    paid: datetime | None = None


class Point(msgspec.Struct, array_like=True):
    x: float
    after: timedelta = timedelta(0)


class Line(msgspec.Struct, array_like=True, tag="line"):
    length: float
    drawn: timedelta = timedelta(seconds=4)


class Pair(NamedTuple):
    left: int
    right: timedelta = timedelta(seconds=2)


class Note(TypedDict, total=False):
    text: str
    age: timedelta


@registry.event("order.placed", topic="orders", key="order_id", version="2.1")
class OrderPlaced(msgspec.Struct, rename="camel"):
    """An order was placed.

    It is not paid yet.
    """

    order_id: OrderId
    placed_at: datetime
    address: Annotated[Address, msgspec.Meta(description="Where to send it.")]
    payment: Card | Cash | str | None = None
    colour: Colour = Colour.RED
    took: timedelta = timedelta(milliseconds=1)
    waits: list[timedelta] = []
    by_name: dict[str, timedelta | None] = {}
    pair: tuple[int, timedelta] = (1, timedelta(seconds=1))
    tags: frozenset[str] = frozenset({"b", "a", "c"})
    point: Point | None = None
    line: Line | None = None
    named: Pair | None = None
    note: Note | None = None
    parent: OrderPlaced | None = None
    size: Annotated[int, msgspec.Meta(gt=0, le=9)] = 1
    kind: Literal["a", "b"] | None = None
    price: Decimal = Decimal("1.5")
    day: date | None = None
    anything: Any = None
    ratio: float = float("inf")


@registry.event("user.created", topic="users", key="user.id")
@dataclasses.dataclass
class UserCreated:
    user: User
    waits: tuple[timedelta, ...] = ()


@dataclasses.dataclass
class User:
    id: UUID
    born: date | None = None


class Inner(pydantic.BaseModel):
    some_time: timedelta = pydantic.Field(default=timedelta(seconds=1), alias="someTime")


class Aliased(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(serialize_by_alias=True)

    some_time: timedelta = pydantic.Field(alias="someTime")


@registry.event("user.renamed", topic="users", key=lambda user: user.name)
class UserRenamed(pydantic.BaseModel):
    """A user has a new name."""

    name: str
    at: datetime
    inner: Inner
    aliased: Aliased
    nick: str = pydantic.Field(default="", serialization_alias="nickName")
    day: Annotated[datetime, pydantic.PlainSerializer(lambda moment: f"{moment:%A}", return_type=str)]
    took: timedelta | None = None
    waits: list[timedelta] = [timedelta(seconds=3)]
    tags: set[str] = {"b", "a", "c"}
    pair: tuple[int, timedelta] = (1, timedelta(seconds=1))
    by_name: dict[str, timedelta] = {}
    parent: UserRenamed | None = None
    hidden: str = pydantic.Field(default="", exclude=True)
    kind: Literal["a", "b"] = "a"

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def length(self) -> int:
        return len(self.name)


@registry.event("note written!")
class NoteWritten(TypedDict):
    text: str
    age: timedelta


EVENTS: list[tuple[str, Any]] = [
    ("order.placed", OrderPlaced(OrderId("o-1"), datetime(2026, 1, 2, tzinfo=UTC), Address("a"), ratio=1.0)),
    (
        "order.placed",
        OrderPlaced(
            OrderId("o-1"),
            datetime.now(UTC),
            Address("a"),
            payment=Card("4", timedelta(days=1)),
            waits=[timedelta(seconds=1)],
            by_name={"a": timedelta(1), "b": None},
            point=Point(1.5, timedelta(seconds=1)),
            line=Line(1.0),
            named=Pair(1),
            note={"age": timedelta(1)},
            parent=OrderPlaced(OrderId("o"), datetime.now(UTC), Address("b"), payment="later", ratio=2.0),
            kind="b",
            day=date(2026, 1, 1),
            anything=[{"a": None}],
            ratio=3.0,
        ),
    ),
    (
        "order.placed",
        OrderPlaced(OrderId("o"), datetime.now(UTC), Address("b"), Cash(datetime.now(UTC)), ratio=1.0),
    ),
    ("user.created", UserCreated(User(UUID(int=1)))),
    ("user.created", UserCreated(User(UUID(int=1), date(2000, 1, 1)), (timedelta(1), timedelta(2)))),
    (
        "user.renamed",
        UserRenamed(
            name="x",
            at=datetime.now(UTC),
            day=datetime.now(UTC),
            inner=Inner(),
            aliased=Aliased(someTime=timedelta(1)),
        ),
    ),
    (
        "user.renamed",
        UserRenamed(
            name="x",
            at=datetime.now(UTC),
            day=datetime.now(UTC),
            inner=Inner(someTime=timedelta(2)),
            aliased=Aliased(someTime=timedelta(1)),
            took=timedelta(microseconds=1),
            by_name={"a": timedelta(1)},
            parent=UserRenamed(
                name="y",
                at=datetime.now(UTC),
                day=datetime.now(UTC),
                inner=Inner(),
                aliased=Aliased(someTime=timedelta(1)),
            ),
        ),
    ),
    ("note written!", NoteWritten(text="x", age=timedelta(seconds=1))),
]


def document_of(events: Registry = registry, **more: Any) -> dict[str, Any]:
    return asyncapi(events, **{"title": "Shop", "version": "1.0.0", **more})


def document_with(cls: type, event_type: str = "a.b", **declared: Any) -> dict[str, Any]:
    events = Registry()
    events.event(event_type, **declared)(cls)
    return document_of(events)


def message_of(document: dict[str, Any], event_type: str) -> dict[str, Any]:
    (message,) = (one for one in document["components"]["messages"].values() if one["name"] == event_type)
    found: dict[str, Any] = message
    return found


def data_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"][name]
    return found


@pytest.fixture(scope="session")
def official(pytestconfig: pytest.Config) -> Draft7Validator:
    """The judge of documents."""
    assert pytestconfig.cache is not None
    return Draft7Validator(official_schema(pytestconfig.cache.mkdir("asyncapi")))


# -- the document


@pytest.mark.parametrize("format", FORMATS)
def test_a_document_is_valid_by_the_official_schema(official: Draft7Validator, format: Format) -> None:
    document = document_of(
        format=format,
        description="All of it.",
        source="shop",
        servers={"test": "kafka:9092", "live": {"host": "kafka.example:9093", "protocol": "kafka-secure"}},
    )
    official.validate(document)
    official.validate(document_of(Registry(), format=format))


def test_the_catalogue_has_a_document(official: Draft7Validator) -> None:
    document = document_of(catalogue)
    official.validate(document)
    assert {message["name"] for message in document["components"]["messages"].values()} == set(
        catalogue.types
    )


def test_the_official_schema_would_find_a_fault(official: Draft7Validator) -> None:
    for path in ("asyncapi", "info", "channels.orders.address", "operations.send-orders.action"):
        *steps, last = path.split(".")
        document = document_of()
        at = document
        for step in steps:
            at = at[step]
        at[last] = 5
        assert not official.is_valid(document), path
    document = document_of()
    data_of(document, "OrderPlaced")["properties"]["colour"] = {"type": "colour"}
    assert not official.is_valid(document)


def test_what_a_document_says() -> None:
    document = document_of(description="All.", source="shop", servers={"test": "kafka:9092"})
    assert (document["asyncapi"], document["defaultContentType"]) == ("3.1.0", "application/json")
    assert document["info"] == {"title": "Shop", "version": "1.0.0", "description": "All."}
    assert document["servers"] == {"test": {"host": "kafka:9092", "protocol": "kafka"}}
    assert list(document["channels"]) == ["default-events", "orders", "users"]
    assert document["channels"]["users"] == {
        "address": "users",
        "messages": {
            "user.created": {"$ref": "#/components/messages/user.created"},
            "user.renamed": {"$ref": "#/components/messages/user.renamed"},
        },
    }
    assert document["operations"]["send-users"] == {
        "action": "send",
        "channel": {"$ref": "#/channels/users"},
        "messages": [
            {"$ref": "#/channels/users/messages/user.created"},
            {"$ref": "#/channels/users/messages/user.renamed"},
        ],
    }
    message = message_of(document, "order.placed")
    assert (message["name"], message["title"]) == ("order.placed", "OrderPlaced")
    assert message["contentType"] == "application/json"
    assert message["description"] == "An order was placed.\n\nIt is not paid yet."
    assert message["x-tidings-key"] == "order_id"
    assert message["bindings"] == {"kafka": {"key": {"type": "string"}, "bindingVersion": "0.5.0"}}
    assert message["correlationId"] == {"location": "$message.header#/correlation_id"}
    payload = message["payload"]
    assert payload["required"] == [
        "event_id",
        "event_type",
        "timestamp",
        "source",
        "version",
        "correlation_id",
        "data",
    ]
    assert payload["properties"]["event_type"] == {"type": "string", "const": "order.placed"}
    assert payload["properties"]["timestamp"] == {"type": "string", "format": "date-time"}
    assert payload["properties"]["source"] == {"type": "string", "examples": ["shop"]}
    assert payload["properties"]["version"] == {"type": "string", "examples": ["2.1"]}
    assert payload["properties"]["data"] == {"$ref": "#/components/schemas/OrderPlaced"}
    assert payload["properties"]["causation_id"] == {"type": "string"}
    assert "description" not in message_of(document, "user.created")
    assert "x-tidings-key" not in message_of(document, "note written!")
    assert message_of(document, "user.renamed")["x-tidings-key"] == "function"
    assert "servers" not in document_of()
    assert document_of()["info"] == {"title": "Shop", "version": "1.0.0"}


def test_a_cloud_event_is_described_as_one() -> None:
    message = message_of(document_of(format="cloudevents", source="my shop"), "order.placed")
    assert message["contentType"] == "application/cloudevents+json"
    properties = message["payload"]["properties"]
    assert set(message["payload"]["required"]) == set(properties) - {"causationid"}
    assert list(properties) == [
        "specversion",
        "id",
        "type",
        "source",
        "time",
        "datacontenttype",
        "version",
        "correlationid",
        "data",
        "causationid",
    ]
    assert properties["specversion"]["const"] == "1.0"
    assert properties["source"] == {"type": "string", "examples": ["my%20shop"], "format": "uri-reference"}
    binary = message_of(document_of(format="cloudevents-binary"), "order.placed")
    assert binary["payload"] == properties["data"]
    assert binary["contentType"] == "application/json"
    assert {"ce_id", "ce_type", "ce_causationid"} <= set(binary["headers"]["properties"])
    assert "ce_causationid" not in binary["headers"]["required"]


def test_topics_are_those_of_a_publisher(make_publisher: MakePublisher) -> None:
    publisher = make_publisher(
        registry=registry,
        topic="everything",
        topics={"orders": "shop.orders"},
        topic_map={"user.*": "people"},
    )
    document = document_of(topic_for=publisher.topic_for)
    assert list(document["channels"]) == ["everything", "people", "shop.orders"]
    assert list(document["channels"]["people"]["messages"]) == ["user.created", "user.renamed"]


def test_an_event_type_that_is_no_name_gets_one() -> None:
    events = Registry()
    names = ["a b", "a_b", "a/b", "ä", "a.b-c_d"]
    for name in names:
        events.event(name)(msgspec.defstruct("Same", [("a", int)], module="shop"))
    document = document_of(events)
    ids = list(document["components"]["messages"])
    assert len(set(ids)) == len(names)
    assert {"a_b", "a.b-c_d"} <= set(ids)
    assert {message["name"] for message in document["components"]["messages"].values()} == set(names)


def test_the_same_declarations_give_the_same_document_in_any_order_and_process() -> None:
    classes = [
        ("a.a", msgspec.defstruct("A", [("a", Address)])),
        ("b.b", msgspec.defstruct("B", [("a", Address)])),
    ]
    documents = []
    for order in (classes, classes[::-1]):
        events = Registry()
        for event_type, cls in order:
            events.event(event_type, topic=event_type)(cls)
        documents.append(dump(document_of(events)))
    assert documents[0] == documents[1]
    script = (
        "import hashlib\nfrom tidings.events.schemas.documents import dump\n"
        "from unit.test_asyncapi import document_of\n"
        "print(hashlib.sha256(dump(document_of()).encode()).hexdigest())"
    )
    assert len({run_script("-c", script) for _ in range(3)}) == 1, (
        "the order of sets is another in each process"
    )


def test_schemas_of_one_name_are_shared_if_they_are_the_same_and_kept_apart_if_not() -> None:
    events = Registry()

    def declare(event_type: str, module: str, inner: Any) -> None:
        line: Any = msgspec.defstruct("Line", [("item", inner)], module=module)
        events.event(event_type)(msgspec.defstruct("Order", [("lines", list[line])], module=module))

    item = msgspec.defstruct("Item", [("a", int)])
    declare("a.a", "one", item)
    declare("b.b", "two", item)
    declare("c.c", "three", msgspec.defstruct("Item", [("a", str)]))
    document = document_of(events)
    names = list(document["components"]["schemas"])
    assert names == ["Item", "Line", "Order", "c.c.Item", "c.c.Line", "c.c.Order"]
    assert data_of(document, "c.c.Item")["properties"] == {"a": {"type": "string"}}
    assert data_of(document, "c.c.Line")["properties"] == {"item": {"$ref": "#/components/schemas/c.c.Item"}}
    payload = message_of(document, "c.c")["payload"]
    assert payload["properties"]["data"] == {"$ref": "#/components/schemas/c.c.Order"}


def test_an_unknown_format_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="json, cloudevents, cloudevents-binary"):
        document_of(format="xml")


# -- schemas


class Plain:
    pass


def test_durations_are_whole_nanoseconds_wherever_they_are() -> None:
    duration = {"type": "integer", "format": "nanoseconds"}
    null = {"type": "null"}
    document = document_of()
    order = data_of(document, "OrderPlaced")["properties"]
    assert order["took"] == {**duration, "default": 1_000_000}
    assert order["waits"] == {"type": "array", "items": duration, "default": []}
    assert order["byName"]["additionalProperties"] == {"anyOf": [duration, null]}
    assert order["pair"]["items"] == [{"type": "integer"}, duration]
    assert order["pair"]["default"] == [1, 1_000_000_000]
    assert data_of(document, "Card")["properties"]["held"] == {"anyOf": [duration, null], "default": None}
    assert data_of(document, "Point")["items"] == [{"type": "number"}, {**duration, "default": 0}]
    assert data_of(document, "Pair")["items"][1] == {**duration, "default": 2_000_000_000}
    assert data_of(document, "Note")["properties"]["age"] == duration
    assert data_of(document, "UserCreated")["properties"]["waits"]["items"] == duration
    assert data_of(document, "NoteWritten")["properties"]["age"] == duration
    model = data_of(document, "UserRenamed")["properties"]
    assert model["took"] == {"anyOf": [duration, null], "default": None}
    assert model["waits"] == {"type": "array", "items": duration, "default": [3_000_000_000]}
    assert model["by_name"]["additionalProperties"] == duration
    assert model["pair"]["items"][1] == duration
    assert model["pair"]["default"] == [1, 1_000_000_000]
    assert data_of(document, "Inner")["properties"] == {"some_time": {**duration, "default": 1_000_000_000}}
    assert data_of(document, "Aliased")["properties"] == {"someTime": duration}
    assert data_of(document, "Line")["items"][1:] == [
        {"type": "number"},
        {**duration, "default": 4_000_000_000},
    ]
    assert '"duration"' not in dump(document)


def test_text_that_is_called_a_duration_stays_text() -> None:
    said = msgspec.Meta(extra_json_schema={"format": "duration"})
    document = document_with(msgspec.defstruct("Said", [("a", Annotated[str, said])]))
    assert data_of(document, "Said")["properties"]["a"] == {"type": "string", "format": "duration"}


def test_schemas_are_draft_07_and_say_what_there_is() -> None:
    document = document_of()
    order = data_of(document, "OrderPlaced")["properties"]
    assert order["placedAt"] == {"type": "string", "format": "date-time"}
    assert order["address"] == {
        "allOf": [{"$ref": "#/components/schemas/Address"}],
        "description": "Where to send it.",
    }
    assert order["tags"]["default"] == ["a", "b", "c"]
    assert "default" not in order["ratio"], "JSON has no infinity"
    assert data_of(document, "Cash")["properties"]["paid"]["anyOf"][0]["format"] == "date-time"
    assert data_of(document, "Colour")["enum"] == ["blue", "red"]
    model = data_of(document, "UserRenamed")
    assert model["required"] == ["name", "at", "inner", "aliased", "day", "length"]
    assert "nick" in model["properties"]
    assert model["properties"]["day"] == {"type": "string"}, "its own serializer writes it"
    assert "hidden" not in model["properties"]
    assert model["properties"]["name"] == {"type": "string"}
    assert model["properties"]["tags"]["default"] == ["a", "b", "c"]
    text = dump(document)
    assert "prefixItems" not in text
    assert "discriminator" not in text


def test_fields_may_have_the_names_of_keywords() -> None:
    cls = msgspec.defstruct(
        "Odd", [("prefixItems", int), ("discriminator", str), ("items", list[int]), ("default", float)]
    )
    document = document_with(cls)
    assert set(data_of(document, "Odd")["properties"]) == {"prefixItems", "discriminator", "items", "default"}


def test_a_class_without_a_schema_is_a_config_error_that_names_it() -> None:
    with pytest.raises(ConfigError, match=r"shop\.Odd: no JSON Schema can be made of it"):
        document_with(msgspec.defstruct("Odd", [("lock", object)], module="shop"))

    class Odd(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)

        path: Plain

    with pytest.raises(ConfigError, match=r"Odd: no JSON Schema can be made of it"):
        document_with(Odd)


# -- keys


class Keyed(msgspec.Struct):
    text: str
    new_type: OrderId
    number: int
    id: UUID
    raw: bytes
    maybe: str | None
    either: str | int
    colour: Colour
    kind: Literal["b", "a"]
    level: Literal[1, 2]
    loose: Union[User, Any]  # noqa: UP007
    flag: bool
    anything: Any
    user: User
    parent: Keyed | None
    table: dict[str, int]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("text", {"type": "string"}),
        ("new_type", {"type": "string"}),
        ("number", {"type": "string", "pattern": "^-?[0-9]+$"}),
        ("id", {"type": "string", "format": "uuid"}),
        ("raw", {"type": "string", "format": "binary"}),
        ("maybe", {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ("either", {"anyOf": [{"type": "string"}, {"type": "string", "pattern": "^-?[0-9]+$"}]}),
        ("colour", {"type": "string"}),
        ("kind", {"type": "string", "enum": ["b", "a"]}),
        ("level", {"type": "string", "pattern": "^-?[0-9]+$"}),
        ("loose.id", {}),
        ("flag", {}),
        ("anything", {}),
        ("user.id", {"type": "string", "format": "uuid"}),
        ("parent.parent.text", {"type": "string"}),
        ("table.a", {"type": "string", "pattern": "^-?[0-9]+$"}),
        ("anything.a.b", {}),
        (lambda event: event.text, {}),
    ],
)
def test_keys_are_the_text_of_the_field(path: Any, expected: dict[str, Any]) -> None:
    message = message_of(document_with(Keyed, key=path), "a.b")
    assert message["bindings"]["kafka"]["key"] == expected
    assert message["x-tidings-key"] == (path if isinstance(path, str) else "function")


def test_a_key_of_names_that_are_not_there_may_be_anything() -> None:
    assert key_schema(dataclasses.make_dataclass("Later", [("a", "NotDefinedHere")]), "a") == {}


# -- what is on the wire


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    if "properties" in schema:
        schema.setdefault("additionalProperties", False)
    return schema


def strictly(schema: Any, document: dict[str, Any]) -> Draft7Validator:
    """Refuses also every field that the schema does not name."""
    known = {name: changed(one, _closed) for name, one in document["components"]["schemas"].items()}
    return Draft7Validator({"allOf": [changed(schema, _closed)], "components": {"schemas": known}})


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("event_type", "event"), EVENTS)
def test_what_is_published_is_what_the_document_says(
    make_publisher: MakePublisher, transport: InMemoryTransport, format: Format, event_type: str, event: Any
) -> None:
    document = document_of(format=format)
    publisher = make_publisher(registry=registry, envelope=format)
    publisher.publish(event, event_type=event_type)
    settle(publisher)
    (record,) = transport.records
    message = message_of(document, event_type)
    strictly(message["payload"], document).validate(record.json())
    headers = {name: (value or b"").decode() for name, value in record.headers}
    strictly(message["headers"], document).validate(headers)
    assert record.topic in document["channels"]
    if "key" in message["bindings"]["kafka"]:
        Draft7Validator(message["bindings"]["kafka"]["key"]).validate((record.key or b"").decode())
    else:
        assert record.key is None


def test_a_payload_of_another_kind_would_be_found() -> None:
    document = document_of()
    judge = strictly({"$ref": "#/components/schemas/UserCreated"}, document)
    assert judge.is_valid({"user": {"id": str(UUID(int=1)), "born": None}, "waits": [1]})
    assert not judge.is_valid({"user": {"id": 5, "born": None}, "waits": [1]})
    assert not judge.is_valid({"user": {"id": "x", "born": None}, "waits": ["PT1S"]})
    assert not judge.is_valid({"user": {"id": "x", "born": None, "other": 1}, "waits": []})


# -- privacy

Email = Annotated[str, Personal]
Hashed = Annotated[str, Personal(on_wire="hash")]
Short = Annotated[str, Personal(on_wire="last4")]
Dropped = Annotated[str, Personal(on_wire="drop")]
Year = Annotated[date, Personal(on_wire=lambda day: str(day)[:4])]
PassWord = Annotated[str, Secret]


class Row(msgspec.Struct, array_like=True):
    name: str
    password: PassWord
    email: Email


class Login(TypedDict):
    user: Hashed
    password: PassWord


@dataclasses.dataclass
class Contact:
    emails: list[Email]
    secrets: list[PassWord]
    by_name: dict[str, Dropped]
    anything: list[Annotated[Any, Secret]]
    any_by_name: dict[str, Annotated[Any, Secret]]
    whoever: dict[str, Annotated[Any, Personal]]
    more: dict[str, Any]
    many: list[Any]
    pair: tuple[int, PassWord]


private = Registry()


@private.event("account.opened", key="id")
class AccountOpened(msgspec.Struct, rename="camel"):
    id: int
    pass_word: PassWord
    email: Email
    born_on: Annotated[Year, msgspec.Meta(description="Only the year.")]
    card: Short | None = None
    hashed: Hashed = "x"
    dropped: Dropped = ""
    any_secret: Annotated[Any, Secret] = None
    row: Row | None = None
    login: Login | None = None
    contact: Annotated[Contact, Personal] | None = None


class Shown(typing_extensions.TypedDict):
    name: str
    password: PassWord


class Names(pydantic.RootModel[list[Email]]):
    pass


@private.event("account.closed")
class AccountClosed(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(serialize_by_alias=True)

    pass_word: PassWord = pydantic.Field(alias="passWord")
    email: Annotated[Email, pydantic.Field(max_length=50)]
    card: Annotated[Short, pydantic.Field(pattern="^[0-9]+$")] | None = None
    names: Names | None = None
    shown: Shown | None = None
    contact: Contact | None = None


def contact() -> Contact:
    return Contact(
        emails=["a@b"],
        secrets=["hunter2"],
        by_name={"a": "hunter2"},
        anything=["hunter2"],
        any_by_name={"a": "hunter2"},
        whoever={"a": "b"},
        more={"a": 1},
        many=[1, "a"],
        pair=(1, "hunter2"),
    )


PRIVATE: list[Any] = [
    AccountOpened(1, "hunter2", "a@b", date(2000, 1, 1)),
    AccountOpened(
        1,
        "hunter2",
        "a@b",
        date(2000, 1, 1),
        card="41111111",
        any_secret={"a": 1},
        row=Row("a", "b", "c"),
        login=Login(user="a", password="b"),
        contact=contact(),
    ),
    AccountClosed(passWord="hunter2", email="a@b"),
    AccountClosed(
        passWord="hunter2",
        email="a@b",
        card="4111111",
        names=Names(["a"]),
        contact=contact(),
        shown={"name": "a", "password": "hunter2"},
    ),
]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Email, {"type": "string", "x-personal": True}),
        (Email | None, {"anyOf": [{"type": "string"}, {"type": "null"}], "x-personal": True}),
        (Year, {"type": "string", "x-personal": True}),
        (Annotated[int, Personal], {"type": "string", "pattern": "^-?[0-9]+$", "x-personal": True}),
    ],
)
def test_the_key_of_a_personal_field_is_called_personal(kind: Any, expected: dict[str, Any]) -> None:
    assert key_schema(msgspec.defstruct("Keyed", [("a", kind)]), "a") == expected


@pytest.mark.parametrize("format", FORMATS)
def test_an_envelope_that_says_more_is_what_the_document_says(
    make_publisher: MakePublisher, transport: InMemoryTransport, format: Format
) -> None:
    document = document_of(format=format)
    publisher = make_publisher(registry=registry, envelope=format)
    publisher.publish(Envelope(data=EVENTS[0][1], causation_id="c-1", source="a shop", version="7"))
    settle(publisher)
    (record,) = transport.records
    message = message_of(document, "order.placed")
    strictly(message["payload"], document).validate(record.json())
    headers = {name: (value or b"").decode() for name, value in record.headers}
    strictly(message["headers"], document).validate(headers)
    assert "c-1" in str(record.json()) + str(headers)


@pytest.mark.parametrize("event", PRIVATE)
def test_what_is_published_of_marked_fields_is_what_the_document_says(
    make_publisher: MakePublisher, transport: InMemoryTransport, event: Any
) -> None:
    document = document_of(private)
    publisher = make_publisher(registry=private)
    publisher.publish(event)
    settle(publisher)
    (record,) = transport.records
    assert "hunter2" not in json.dumps(record.json())
    (message,) = (
        one for one in document["components"]["messages"].values() if one["title"] == type(event).__name__
    )
    strictly(message["payload"], document).validate(record.json())


def test_a_document_obeys_marks(official: Draft7Validator) -> None:
    document = document_of(private)
    official.validate(document)
    text, null = {"type": "string", "x-personal": True}, {"type": "null"}
    assert "account.opened.Contact" not in document["components"]["schemas"], (
        "a model has it, a struct has it"
    )
    opened = data_of(document, "AccountOpened")
    assert opened["required"] == ["id", "email", "bornOn"]
    assert opened["properties"]["email"] == text
    assert opened["properties"]["bornOn"] == {**text, "description": "Only the year."}
    assert opened["properties"]["card"] == {"type": ["string", "null"], "x-personal": True}
    assert opened["properties"]["hashed"] == text
    assert not {"passWord", "dropped", "anySecret"} & set(opened["properties"])
    assert data_of(document, "Row")["items"] == [{"type": "string"}, {"const": ""}, text]
    assert data_of(document, "Login")["properties"] == {"user": text}
    assert opened["properties"]["contact"]["x-personal"] is True
    assert data_of(document, "Contact")["properties"] == {
        "emails": {"type": "array", "items": text},
        "secrets": {"type": "array", "items": False},
        "by_name": {"type": "object", "additionalProperties": False},
        "anything": {"type": "array", "items": False},
        "any_by_name": {"type": "object", "additionalProperties": False},
        "whoever": {"type": "object", "additionalProperties": {"x-personal": True}},
        "more": {"type": "object"},
        "many": {"type": "array"},
        "pair": {
            "type": "array",
            "minItems": 2,
            "maxItems": 2,
            "items": [{"type": "integer"}, {"const": ""}],
        },
    }
    closed = data_of(document, "AccountClosed")
    assert closed["required"] == ["email"]
    assert closed["properties"]["email"] == {**text, "maxLength": 50}
    assert closed["properties"]["card"] == {"type": ["string", "null"], "x-personal": True}
    assert "passWord" not in closed["properties"]
    assert data_of(document, "Shown")["properties"] == {"name": {"type": "string"}}
    assert data_of(document, "Shown")["required"] == ["name"]
    assert data_of(document, "Names")["items"] == text
    assert null in closed["properties"]["names"]["anyOf"]


# -- as files


@pytest.mark.parametrize("name", ["events.json", "events.yaml", "events.YML", "events"])
def test_a_document_is_the_same_after_writing_and_reading(tmp_path: Path, name: str) -> None:
    document = document_of(description="Größe: 5\nzwei")
    write(tmp_path / name, document)
    assert read(tmp_path / name) == document
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert text.endswith("\n")
    assert "Größe" in text
    assert text.startswith("asyncapi: 3.1.0" if name.lower().endswith("ml") else '{\n  "asyncapi": "3.1.0"')
    assert "&id" not in text


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("missing.json", None, "cannot be read: No such file"),
        ("bad.json", "{", "is not a document"),
        ("bad.yaml", "a: [", "is not a document"),
        ("bad.json", b"\xff", "is not a document"),
        ("other.json", "[]", "is not an AsyncAPI 3 document"),
        ("other.json", '{"asyncapi": "2.6.0"}', "is not an AsyncAPI 3 document"),
        ("other.yaml", "openapi: 3.1.0", "is not an AsyncAPI 3 document"),
    ],
)
def test_a_file_that_is_no_document_is_named(
    tmp_path: Path, name: str, content: str | bytes | None, why: str
) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigError, match=why) as raised:
        read(file)
    assert str(file) in str(raised.value)


def test_json_text_is_strict_json() -> None:
    assert json.loads(dump(document_of())) == document_of()
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump({"a": float("nan")})
    same = {"b": [1]}
    assert dump({"a": same, "c": same}, yaml=True) == "a:\n  b:\n  - 1\nc:\n  b:\n  - 1\n"
    assert schema_of(Address)[0] == {"$ref": "#/components/schemas/Address"}
