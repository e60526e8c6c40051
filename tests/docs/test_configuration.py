"""docs/configuration.md says what the settings say."""

from __future__ import annotations

from tools.configuration import PAGE, page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page() + "\n", "run `make docs`"
