"""AsyncAPI documents as files: JSON, or YAML where the file's name says so."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

from tidings.errors import DocumentError

Document = dict[str, Any]

_YAML: Final = (".yaml", ".yml")


def dump(document: Document, *, yaml: bool = False) -> str:
    """The document as text, JSON unless ``yaml`` is true; the same document is the same text, always.

    It keeps the document's order and ends with a newline.
    """
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if not yaml:
        return text
    from yaml import safe_dump  # noqa: PLC0415 - 20 ms, and few write YAML

    # Read back from JSON, the document has no part twice: YAML would write the second as an alias.
    written: str = safe_dump(json.loads(text), sort_keys=False, allow_unicode=True, width=110)
    return written


def write(path: str | os.PathLike[str], document: Document) -> None:
    """Write the document to a file, in UTF-8: YAML if its name ends with .yaml or .yml, else JSON."""
    file = Path(path)
    file.write_text(dump(document, yaml=file.suffix.lower() in _YAML), encoding="utf-8", newline="\n")


def read(path: str | os.PathLike[str]) -> Document:
    """The document in a file that ``write`` made. Raises DocumentError, naming the file and the fault."""
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
        document = _parsed_yaml(text) if file.suffix.lower() in _YAML else json.loads(text)
    except OSError as error:
        raise DocumentError(f"{file} cannot be read: {error.strerror or error}.") from None
    except ValueError as error:
        raise DocumentError(f"{file} is not a document: {error}.") from None
    if not isinstance(document, dict) or not str(document.get("asyncapi", "")).startswith("3."):
        raise DocumentError(f"{file} is not an AsyncAPI 3 document.")
    return document


def _parsed_yaml(text: str) -> object:
    from yaml import YAMLError, safe_load  # noqa: PLC0415

    try:
        return safe_load(text)
    except YAMLError as error:
        raise ValueError(error) from None
