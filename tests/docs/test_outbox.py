"""docs/outbox.md: its blocks run in order, and print what their comments say."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.pages import run_page


def test_the_page_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_page("outbox.md", tmp_path, comments=4)
