"""docs/replay.md is a program."""

from __future__ import annotations

from pathlib import Path

from support.pages import run_page


def test_the_comments_are_what_is_printed(tmp_path: Path) -> None:
    assert run_page("replay.md", tmp_path, comments=3).count("billed o-1") == 1
