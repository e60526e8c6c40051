"""How wrong settings are told: all in one ConfigError, under the user's names, without any secret."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from tidings.errors import ConfigError

_WORDS = {
    "string_type": "must be text (in YAML, put it in quotes)",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "callable_type": "must be a function, given in code",
}


def problems_by_field(error: ValidationError) -> dict[str, str]:
    """Field → what is wrong with it, in our words. The input is never read: it may be a secret."""
    return {
        str(detail["loc"][0]): _words(detail["type"], detail.get("ctx", {}), detail["msg"])
        for detail in error.errors(include_input=False, include_url=False)
        if detail["type"] != "default_factory_not_called"  # follows from another field's problem
    }


def _words(kind: str, context: dict[str, Any], message: str) -> str:
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"must be one of {context['expected']}"
    return _WORDS.get(kind, message[:1].lower() + message[1:])


def config_error(problems: Sequence[str]) -> ConfigError:
    """One error that lists every problem on a line of its own."""
    count = "1 setting is" if len(problems) == 1 else f"{len(problems)} settings are"
    return ConfigError("\n".join([f"{count} wrong:", *(f"  {problem}" for problem in problems), ""]))
