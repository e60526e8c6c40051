"""Reading by another schema: what a reader who knows one does not take of what is written by another."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from tidings.events.schemas.alternatives import alternatives, describe
from tidings.events.schemas.constraints import unkept
from tidings.events.schemas.documents import Document
from tidings.events.schemas.fields import Schema

_ANYTHING: Final = True
_TEXT: Final[Schema] = {"type": "string"}
_KEEP: Final = "Keep it until no consumer needs it."
_INSTEAD: Final = "Add a field of another name instead."


class Change(NamedTuple):
    """What a reader stumbles over: the path of the field (``.total``), what happened to it, what helps."""

    path: str
    what: str
    advice: str = ""
    who: str = ""
    """Whom it breaks, where that is not simply who reads by the other schema."""


class Reading:
    """Reads by a schema of one document what is written by a schema of the other.

    ``backward`` says that the reader has the schemas of ``after``; otherwise it has those of ``before``.
    Objects are open to a reader, who skips fields it does not know (unless it forbids them), and closed to a
    writer, who writes what its schema names. One thread.
    """

    def __init__(self, before: Document, after: Document, *, backward: bool) -> None:
        self._backward = backward
        self._reader, self._writer = (after, before) if backward else (before, after)
        self._known: dict[tuple[int, int], tuple[tuple[Any, Any], list[Change]]] = {}

    def changes(self, before: Any, after: Any) -> list[Change]:
        """What the reader cannot read. ``before`` and ``after`` are schemas of the two documents."""
        return self._read(after, before) if self._backward else self._read(before, after)

    def _read(self, reader: Any, writer: Any) -> list[Change]:
        return self._once(
            (reader, writer),
            lambda: self._match(alternatives(reader, self._reader), alternatives(writer, self._writer)),
        )

    def _once(self, pair: tuple[Any, Any], find: Callable[[], Iterable[Change]]) -> list[Change]:
        """What there is to find in a pair of parts of the documents; nothing while it is being looked for.

        So a type that holds itself comes to an end, and what is wrong with it is found the first time.
        """
        key = id(pair[0]), id(pair[1])
        if key not in self._known:
            self._known[key] = pair, []  # kept with the pair: no other part will have these ids
            self._known[key] = pair, list(find())
        return self._known[key][1]

    def _match(self, readers: list[Schema], writers: list[Schema]) -> list[Change]:
        found: list[Change] = []
        strangers = []
        for writer in writers:
            candidates = [reader for reader in readers if _takes(reader, writer)]
            if candidates:
                found += self._closest(candidates, writer)
            else:
                strangers.append(writer)
        if strangers and all(stranger.get("type") == "null" for stranger in strangers):
            found.append(Change("", self._say("can no longer be null", "can now be null")))
        elif strangers:
            found.append(Change("", self._from_to(describe(readers), describe(writers)), _INSTEAD))
        return found

    def _closest(self, candidates: list[Schema], writer: Schema) -> list[Change]:
        """None if one of the reader's alternatives takes it all, else what is wrong with the likeliest."""
        if "enum" in writer:
            known = [value for reader in candidates for value in reader.get("enum", ())]
            left = [value for value in writer["enum"] if value not in known]
            if not left:
                return []
            writer = {**writer, "enum": left}
        tried = [
            (reader.get("title") != writer.get("title"), self._compare(reader, writer))
            for reader in candidates
        ]
        if not all(changes for _, changes in tried):
            return []
        return min(tried, key=lambda one: (one[0], len(one[1])))[1]

    def _compare(self, reader: Schema, writer: Schema) -> list[Change]:
        """What of ``writer`` is not taken by ``reader``, which takes its type."""
        if "type" not in reader:
            return []
        found: list[Change] = []
        if "enum" in reader:
            if "enum" not in writer:
                return [Change("", self._from_to(describe([reader]), describe([writer])), _INSTEAD)]
            values = ", ".join(repr(value) for value in writer["enum"] if value not in reader["enum"])
            if values:
                found.append(Change("", self._say(f"no longer allows {values}", f"now allows {values}")))
        for keyword, wanted, kept in unkept(reader, writer):
            found.append(Change("", f"changed its {keyword} {self._from_to(wanted, kept, verb='')}"))
        if reader["type"] == "object":
            found += [*self._fields_once(reader, writer), *self._keys(reader, writer)]
        elif reader["type"] == "array":
            found += self._items(reader, writer)
        return found

    def _fields_once(self, reader: Schema, writer: Schema) -> list[Change]:
        if "properties" not in reader or "properties" not in writer:
            return list(self._fields(reader, writer))
        pair = reader["properties"], writer["properties"]
        return self._once(pair, lambda: self._fields(reader, writer))

    def _fields(self, reader: Schema, writer: Schema) -> Iterator[Change]:
        known, written = reader.get("properties", {}), writer.get("properties", {})
        others = reader.get("additionalProperties", _ANYTHING)
        for name in reader.get("required", ()):
            if name not in writer.get("required", ()):
                yield self._missing(name, written)
        yield from self._gone(reader, writer)
        for name, schema in written.items():
            if name in known:
                yield from _under(f".{name}", self._read(known[name], schema))
            elif others is False:
                what = self._say("was removed", "is new")
                yield Change(f".{name}", f"{what}, and fields it does not know are refused")
            elif others is not _ANYTHING:
                yield from _under(f".{name}", self._read(others, schema))
        for more in _more_fields(writer):
            if "properties" not in writer:  # a map may have each of these names
                for name in known:
                    yield from _under(f".{name}", self._read(known[name], more))
            if others is False:
                yield Change("", self._say("no longer takes further fields", "may now have further fields"))
            elif others is not _ANYTHING:
                yield from _under(".*", self._read(others, more))

    def _gone(self, reader: Schema, writer: Schema) -> Iterator[Change]:
        """Optional fields that are no more: readable, and missed by those who look for them."""
        if self._backward or "properties" not in writer:
            return
        who = "consumers with the old schema find it no more"
        for name in sorted(reader.get("properties", {}).keys() - writer["properties"].keys()):
            if name not in reader.get("required", ()):
                yield Change(f".{name}", "was removed", _KEEP, who)

    def _missing(self, name: str, written: Schema) -> Change:
        if name in written:
            return Change(f".{name}", self._say("became required", "became optional"))
        if self._backward:
            return Change(f".{name}", "is new and required", "Give it a default.")
        return Change(f".{name}", "was removed", _KEEP)

    def _keys(self, reader: Schema, writer: Schema) -> Iterator[Change]:
        """The names of the fields of a map."""
        if (names := reader.get("propertyNames")) is not None:
            readers = [{**_TEXT, **name} for name in alternatives(names, self._reader)]
            writers = alternatives(writer.get("propertyNames", True), self._writer)
            yield from _under(".* (its name)", self._match(readers, [{**_TEXT, **name} for name in writers]))
        patterns = writer.get("patternProperties", {})
        for pattern, schema in reader.get("patternProperties", {}).items():
            if pattern in patterns:
                yield from _under(".*", self._read(schema, patterns[pattern]))
            else:
                yield Change(".* (its name)", self._from_to(pattern, " or ".join(patterns) or None))

    def _items(self, reader: Schema, writer: Schema) -> Iterator[Change]:
        known, others = _positions(reader, rest=True)
        written, more = _positions(writer, rest=False)
        most = writer.get("maxItems", math.inf)
        for index in range(max(len(known), len(written))):
            schema = written[index] if index < len(written) else more
            if index < most:
                by = known[index] if index < len(known) else others
                yield from _under(f"[{index}]", self._read(by, schema))
        yield from _under("[]", self._read(others, more))

    def _from_to(self, reader: object, writer: object, verb: str = "changed ") -> str:
        before, after = (writer, reader) if self._backward else (reader, writer)
        return f"{verb}from {'none' if before is None else before} to {'none' if after is None else after}"

    def _say(self, backward: str, forward: str) -> str:
        return backward if self._backward else forward


def _takes(reader: Schema, writer: Schema) -> bool:
    kind = reader.get("type")
    return kind in {None, writer.get("type")} or (kind == "number" and writer.get("type") == "integer")


def _more_fields(writer: Schema) -> Iterable[Any]:
    """The schemas of the fields that a writer adds to those its schema names."""
    if "patternProperties" in writer:
        return tuple(writer["patternProperties"].values())
    more = writer.get("additionalProperties", "properties" not in writer)
    return () if more is False else (more,)


def _positions(schema: Schema, *, rest: bool) -> tuple[list[Any], Any]:
    """The schemas of a list's first items, and of those after them."""
    items = schema.get("items", True)
    return (items, rest) if isinstance(items, list) else ([], items)


def _under(path: str, changes: list[Change]) -> Iterator[Change]:
    return (change._replace(path=path + change.path) for change in changes)
