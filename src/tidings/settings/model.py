"""Settings: all fields together, read from their sources and checked once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from tidings.settings.checks import contradictions, warn
from tidings.settings.consuming import Consuming
from tidings.settings.guarding import Guarding
from tidings.settings.keeping import Keeping
from tidings.settings.naming import Naming
from tidings.settings.security import Security
from tidings.settings.sending import Sending
from tidings.settings.sources import Found, add_code, gather
from tidings.settings.wording import config_error, problems_by_field


class Settings(Consuming, Guarding, Keeping, Sending, Security, Naming, BaseSettings):
    """Everything a publisher is configured by. Frozen, and checked as a whole when made.

    ``Settings(brokers="localhost:9092", max_block="500ms")``: names in lower case go before the environment
    (``KAFKA_BROKERS``), that before the YAML file named by CONFIG_FILE, that before the defaults. A map or
    list of a stronger source replaces that of a weaker one; an empty variable counts as not set.

    Durations are read from ``100ms``, ``1m30s``, a timedelta or a number of seconds, and are floats in
    seconds; sizes from ``1MiB``, ``64kB`` or a number of bytes, and are ints in bytes.

    Raises ConfigError, once, with every wrong setting by the name it was given under, and never a secret.
    ``repr`` and ``model_dump`` show no secrets either.
    """

    model_config = SettingsConfigDict(
        env_prefix="KAFKA_", env_ignore_empty=True, enable_decoding=False, validate_default=False
    )

    def __init__(self, **overrides: Any) -> None:
        found = overrides.pop("_found", None) or gather(type(self), overrides)
        wrong: dict[str, str] = {}
        try:
            super().__init__(**found.values)
        except ValidationError as error:
            wrong = problems_by_field(error)
        if wrong:  # the others are still checked against each other
            super().__init__(**{name: value for name, value in found.values.items() if name not in wrong})
        problems = [*found.problems, *(f"{found.name(field)}: {problem}" for field, problem in wrong.items())]
        problems += contradictions(self, wrong.keys(), found.name)
        if problems:  # raised outside of the handler: a ValidationError in its context would hold the input
            raise config_error(problems)
        warn(self, found.name)

    @classmethod
    def from_env(cls) -> Self:
        """Settings from ``KAFKA_*`` variables and the YAML file they may name. Raises ConfigError."""
        return cls()

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str], **overrides: Any) -> Self:
        """Settings from a YAML file, under the environment and ``overrides``. Raises ConfigError."""
        return cls(config_file=Path(path), **overrides)

    def with_overrides(self, **overrides: Any) -> Self:
        """These settings with some changed; no source is read again. Raises ConfigError."""
        found = Found()
        add_code(found, type(self), overrides)
        kept = {
            name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set
        }
        found.add(kept, {name: name for name in kept})
        return type(self)(_found=found)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """``gather`` has read the sources already, and knows which name each value was given under."""
        return (init_settings,)
