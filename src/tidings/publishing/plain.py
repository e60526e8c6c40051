"""Text of strangers, made fit for one line of a log or one field of an entry."""

from __future__ import annotations


def plain(text: str, most: int) -> str:
    """``text``, at most ``most`` characters of it, with what cannot be printed escaped, as ``\\n`` is."""
    if len(text) <= most and text.isprintable():
        return text
    cut = text[:most]
    if not cut.isprintable():
        cut = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)[:most]
    return f"{cut[: most - 1]}…" if len(text) > most else cut
