"""What all tests share: pytest's own pytester, for the plugin and whole programs; a store of their own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import hypothesis
import pytest

pytest_plugins = ["pytester"]

# No test is about time: a busy machine makes examples slow, and deadlines make those failures.
hypothesis.settings.register_profile("tidings", deadline=None)
hypothesis.settings.load_profile("tidings")


@pytest.fixture(autouse=True, scope="session")
def _interrupts_as_in_a_terminal() -> Iterator[None]:
    """A shell starts what runs in its background with SIGINT ignored, and every child would inherit that."""
    former = signal.getsignal(signal.SIGINT)
    if former is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.fixture(autouse=True, scope="session")
def _stores_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test leaves events in the store of the person who runs it, or adopts theirs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True, scope="module")
def _no_variables_are_left_behind() -> Iterator[None]:
    """Programs that other modules start would inherit them."""
    before = _variables()
    yield
    assert _variables() == before


def _variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
