"""Writes docs/configuration.md from the settings themselves: ``python -m tools.configuration``."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tidings.settings import Settings

PAGE = Path(__file__).parent.parent / "docs" / "configuration.md"

_HEAD = """# Configuration

<!-- Written by `make docs` from the settings' own docstrings; edit them there. -->

Every setting is an environment variable `KAFKA_<NAME>`, a key of the same name in a YAML file, and a lower-case argument
of `Publisher(...)` and `Settings(...)`. Code goes before the environment, that before the YAML file (`KAFKA_CONFIG_FILE`
or `Publisher.from_yaml(path)`), that before the defaults.

```yaml
KAFKA:
  BROKERS: [kafka-1:9092, kafka-2:9092]
  SERVICE: shop
  TOPICS: {orders: prod.shop.orders}
  FLUSH_TIMEOUT: 5ms
```

Durations read like `100ms`, `1m30s` or a number of seconds; sizes like `1MiB` or a number of bytes. Everything is checked
at once when the publisher is made, and one `ConfigError` names every wrong setting by the name you gave it, never a
secret. An unknown YAML key is an error; an unknown `KAFKA_*` variable that is close to a known one is a warning.

Always set, and not to be changed: `acks=all`, `enable.idempotence=true`, `partitioner=murmur2_random` (keys land where
Java clients put them), `reconnect.backoff.max.ms=1000`, `topic.metadata.propagation.max.ms=2000`.
"""


def page() -> str:
    """The page as it should be."""
    return "\n".join([_HEAD, *(_entry(name, field) for name, field in Settings.model_fields.items())])


def _entry(name: str, field: FieldInfo) -> str:
    text = " ".join((field.description or "").split()).replace("``", "`")
    default = _default(field)
    return f"- **`{name.upper()}`**{f' (default `{default}`)' if default else ''}: {text}"


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined or value in (None, "", ()) or isinstance(value, SecretStr):
        return ""
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )


if __name__ == "__main__":
    PAGE.write_text(page() + "\n")
