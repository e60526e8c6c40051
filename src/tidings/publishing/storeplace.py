"""Where a publisher's store goes: probed when the publisher is made, opened at its first event."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from tidings.errors import ConfigError
from tidings.letters.place import default_dir, probe

if TYPE_CHECKING:
    from tidings.settings import Settings


def store_directory(settings: Settings, logger: logging.Logger) -> Path | None:
    """The directory of the store; None in memory mode, and where no default directory can be used.

    Raises ConfigError when STORE_DIR was set and cannot be used.
    """
    if settings.durability == "memory":
        return None
    given = settings.store_dir
    directory = given or default_dir()
    found = probe(directory)
    if found.problem is not None:
        if given is not None:
            raise ConfigError(f"STORE_DIR: {found.problem}")
        logger.warning(
            f"there is no store: {found.problem} What is not delivered when the process ends is lost. "
            "Set STORE_DIR, or DURABILITY=memory if that is meant."
        )
        return None
    if found.warning is not None:
        logger.warning(found.warning)
    return directory
