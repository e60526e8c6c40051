"""Where settings come from: code over the environment over a YAML file; each with the name the user wrote."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic_settings import BaseSettings, EnvSettingsSource

from tidings.settings import yamlfile
from tidings.settings.strangers import closest, look_at_environment
from tidings.settings.values import readable_file

_EITHER = ({"password", "password_file"},)
"""Two names for one thing: given in one source, the other name in a weaker source does not count."""


@dataclass
class Found:
    """What the sources gave: a value and the user's name for it by field, and what was wrong with them."""

    values: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, values: dict[str, Any], names: dict[str, str]) -> None:
        """Take what no stronger source has given."""
        taken = set(self.values)
        for pair in _EITHER:
            if pair & taken:
                taken |= pair
        for name in values.keys() - taken:
            self.values[name] = values[name]
            self.names[name] = names[name]

    def name(self, setting: str) -> str:
        """What the user calls a field; one that was not given goes by its variable."""
        return self.names.get(setting, f"KAFKA_{setting.upper()}")


def gather(model: type[BaseSettings], overrides: dict[str, Any]) -> Found:
    """Read all sources, each once; a weaker one never adds to a map or list that a stronger one gives."""
    found = Found()
    add_code(found, model, overrides)
    look_at_environment(os.environ, {name.upper() for name in model.model_fields})
    environment = EnvSettingsSource(model)()
    found.add(environment, {name: f"KAFKA_{name.upper()}" for name in environment})
    path = found.values.get("config_file")
    if path is not None:
        _add_yaml(found, model, path)
    return found


def add_code(found: Found, model: type[BaseSettings], overrides: dict[str, Any]) -> None:
    """Take keyword arguments; an unknown one is a problem that names the likely setting."""
    known = model.model_fields.keys()
    for name in overrides.keys() - known:
        found.problems.append(_unknown(name, name, known))
    given = {name: value for name, value in overrides.items() if name in known}
    found.add(given, {name: name for name in given})


def _add_yaml(found: Found, model: type[BaseSettings], path: object) -> None:
    try:
        file = readable_file(path)
        content = _load(file)
    except ValueError as error:
        found.problems.append(f"{found.name('config_file')}: {error}")
        found.values.pop("config_file")  # told here; the field would tell it again
        return
    where = str(file)
    known = {name.upper(): name for name in model.model_fields if name != "config_file"}
    names: dict[str, str] = {}
    values: dict[str, Any] = {}
    for key, value in content.items():
        if key in known:
            if value is not None:  # `PASSWORD:` with nothing behind it, like an empty variable, is not set
                values[known[key]] = value
                names[known[key]] = f"{key} in {where}"
        else:
            found.problems.append(_unknown(f"{key} in {where}", str(key), known))
    found.add(values, names)


def _load(file: Path) -> dict[Any, Any]:
    """The KAFKA map of a YAML file. Raises ValueError, which shows nothing of it: it may hold a secret."""
    try:
        content = yamlfile.load(file.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"{str(file)!r} is nested too deeply") from None
    except yamlfile.Unsound as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{str(file)!r}, {line}{error.problem}") from None
    except yaml.MarkedYAMLError as error:
        line = f", near line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{str(file)!r} is not valid YAML{line}; put special characters in quotes") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ValueError(f"{str(file)!r} is not valid YAML; it must be UTF-8 text") from None
    if not isinstance(content, dict) or "KAFKA" not in content:
        raise ValueError(f"{str(file)!r} has no top-level KAFKA: map")
    kafka = content["KAFKA"] if content["KAFKA"] is not None else {}
    if not isinstance(kafka, dict):
        raise ValueError(f"KAFKA: in {str(file)!r} must be a map of settings")
    return kafka


def _unknown(name: str, bare: str, known: Iterable[str]) -> str:
    """The problem of a name that is no setting; the likely one is spelled as in ``known``."""
    spelled = {each.upper(): each for each in known}
    likely = closest(bare.upper(), spelled)
    return f"{name}: there is no such setting" + (f"; is {spelled[likely]} meant?" if likely else "")
