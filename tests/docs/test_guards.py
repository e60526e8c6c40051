"""docs/guards.md is a program."""

from __future__ import annotations

from pathlib import Path

from support.pages import run_page


def test_the_comments_are_what_is_printed(tmp_path: Path) -> None:
    run_page("guards.md", tmp_path, comments=8)
