"""How settings are read: durations, sizes, addresses, topics, lists and maps, from text or Python values."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import durationpy
from pydantic import ByteSize, TypeAdapter, ValidationError

from tidings.topics import TOPIC_RULE, is_topic_name

_DURATION = re.compile(r"(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h|d|w))+", re.ASCII)
_NUMBER = re.compile(r"\d+\.?\d*|\.\d+", re.ASCII)
_HOST = re.compile(
    r"[a-zA-Z0-9_]([a-zA-Z0-9_-]*[a-zA-Z0-9_])?(\.[a-zA-Z0-9_]([a-zA-Z0-9_-]*[a-zA-Z0-9_])?)*\.?"
)
_IPV6 = re.compile(r"[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(%[a-zA-Z0-9._-]+)?")
PLACE = "{topic}"
"""Where the event's own topic stands in DLQ_TOPIC."""
_PLACE_ROOM = 40
"""Characters each place has at least, in the longest names: a hash, and enough to know the topic by."""
_BYTES: TypeAdapter[ByteSize] = TypeAdapter(ByteSize)


def seconds(value: object) -> float:
    """Seconds from ``100ms``, ``1m30s``, a timedelta or a number of seconds. Raises ValueError."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, int | float) and not isinstance(value, bool):
        if math.isfinite(value) and value >= 0:
            return float(value)
    elif isinstance(value, str):
        text = "".join(value.split())
        if _NUMBER.fullmatch(text):
            return float(text)
        if _DURATION.fullmatch(text):  # stricter than durationpy, which skips what stands between two parts
            try:
                return durationpy.from_str(text).total_seconds()
            except durationpy.DurationError as error:
                raise ValueError(f"{value!r} is too long") from error
    raise ValueError(f"{shown(value)} is not a duration; write it like 100ms, 1s or 1m30s")


def size(value: object) -> int:
    """Bytes from ``1MiB`` (1,048,576), ``64kB`` (64,000) or a number of bytes. Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str):
        try:
            return int(_BYTES.validate_python(value.strip()))
        except (ValidationError, OverflowError):
            pass  # told below, in our words
    raise ValueError(f"{shown(value)} is not a size; write it like 1MiB, 64kB or a number of bytes")


def within(low: float, high: float, unit: str) -> Callable[[Any], Any]:
    """A check that a number is from ``low`` to ``high``; ``unit`` is told with both."""

    def check(value: Any) -> Any:
        if not low <= value <= high:
            raise ValueError(f"must be from {_plain(low)} to {_plain(high)}{unit}, not {_plain(value)}{unit}")
        return value

    return check


def addresses(value: object) -> tuple[str, ...]:
    """Broker addresses from ``a:9092,[::1]:9092`` or a list. Names every malformed one. Raises ValueError."""
    if isinstance(value, str):
        entries: list[object] = [part.strip() for part in value.split(",")]
    elif isinstance(value, list | tuple):
        entries = list(value)
    else:
        raise ValueError("must be a list of host:port, or text with commas between them")
    if not entries:
        raise ValueError("is empty; write host:port, for example localhost:9092")
    problems = [problem for entry in entries if (problem := _address_problem(entry))]
    if problems:
        raise ValueError("; ".join(problems))
    return tuple(str(entry).strip() for entry in entries)


def _address_problem(entry: object) -> str | None:
    if not isinstance(entry, str):
        return f"{shown(entry)} is not host:port; put it in quotes if it is a number"
    text = entry.strip()
    host, colon, port = text.rpartition(":")
    if not text:
        return "there is an empty address between two commas; write host:port"
    problem = None
    if "://" in text:
        problem = "is a URL; write host:port, and choose TLS and SASL by SSL and SASL_MECHANISM"
    elif text.endswith("]") or not colon:
        problem = "has no port; write host:port (Kafka's usual port is 9092)"
    elif not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        problem = "has no port from 1 to 65535 after its last colon"
    elif host.startswith("[") and host.endswith("]"):
        problem = None if _IPV6.fullmatch(host[1:-1]) else "has no IPv6 address in its brackets"
    elif ":" in host:
        problem = "has more than one colon; write an IPv6 address in brackets, [::1]:9092"
    elif not _HOST.fullmatch(host):
        problem = "has no legal host name before its port"
    # A URL may carry user:password: nothing before the @ is shown.
    return f"{shown('…@' + text.rpartition('@')[2] if '@' in text else text)} {problem}" if problem else None


def topic_name(value: object) -> str:
    """A topic, by Kafka's rule. Raises ValueError."""
    if isinstance(value, str) and is_topic_name(value):
        return value
    raise ValueError(f"{shown(value)} is not a topic name; {TOPIC_RULE}")


def topics_of(names: dict[str, str]) -> dict[str, str]:
    """Logical names, each with a legal topic. Raises ValueError."""
    for topic in names.values():
        topic_name(topic)
    return names


def letters_topic(template: str) -> str:
    """A topic for letters, in which ``{topic}`` may stand for the event's own. Raises ValueError."""
    places = template.count(PLACE)
    fixed = template.replace(PLACE, "")
    if places and not fixed:
        raise ValueError(f"{shown(template)} is the event's own topic; write more, like {PLACE}.dlq")
    if not is_topic_name(template.replace(PLACE, "t")):
        raise ValueError(f"{shown(template)} is not a topic name (it may hold {PLACE}); {TOPIC_RULE}")
    if len(fixed) + _PLACE_ROOM * places > 249:
        raise ValueError(f"{shown(template)} leaves no room for the event's topic; write less around {PLACE}")
    return template


def label(value: str) -> str:
    """One line of text that is not empty. Raises ValueError."""
    if not value.strip() or not value.isprintable():
        raise ValueError("must be one line of text that is not empty")
    return value


def mapping(value: object) -> dict[str, str]:
    """A map of text to text, from JSON, from ``a=b,c=d`` or from a mapping. Raises ValueError."""
    if isinstance(value, str) and not value.lstrip().startswith("{"):
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        if not all(equals for _, equals, _ in pairs):
            raise ValueError('must be name=value,name=value or a JSON object, {"name": "value"}')
        value = {name.strip(): text.strip() for name, _, text in pairs}
    found = json_object(value)
    for name, text in found.items():
        if not isinstance(text, str) or not name or name != name.strip():
            raise ValueError(f"{name!r} must be a name that is not empty, and stand for text")
    return found


def json_object(value: object) -> dict[str, Any]:
    """A JSON object, or a mapping with str keys, as a dict. Never shows what was given. Raises ValueError."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            place = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
            raise ValueError(f'is not valid JSON{place}; write an object, {{"name": "value"}}') from None
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError('must be an object with names in quotes, {"name": "value"}')
    return dict(value)


def readable_file(value: object) -> Path:
    """The path of a file that exists and can be read; ``~`` is the home directory. Raises ValueError."""
    path = readable(value)
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is not a file")
    return path


def readable(value: object) -> Path:
    """The path of a file or directory that exists and can be read. Raises ValueError."""
    if not isinstance(value, str | Path):
        raise ValueError("must be a path")
    path = Path(value)
    try:
        path = path.expanduser()
        if path.is_dir():
            next(path.iterdir(), None)
        else:
            path.open("rb").close()
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ValueError(f"{str(path)!r} cannot be read: {reason}") from None
    return path


def directory(value: object) -> Path:
    """The absolute path of a directory, there or not; ``~`` is the home directory. Raises ValueError."""
    if not isinstance(value, str | Path) or not str(value).strip() or "\0" in str(value):
        raise ValueError("must be the path of a directory")
    try:
        return Path(value).expanduser().absolute()
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{shown(str(value))} is no path: {error}") from None


def shown(value: object) -> str:
    """A value in a message: text cut short, anything else by its type. Not for secrets."""
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:60] + "…")
    if isinstance(value, bool | int | float | None):
        return repr(value)
    return f"a {type(value).__name__}"


def _plain(number: float) -> str:
    return f"{number:,.10g}" if isinstance(number, float) else f"{number:,}"
