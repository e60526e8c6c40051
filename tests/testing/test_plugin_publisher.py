"""The fixtures for a publisher in memory, in a user's tests."""

from __future__ import annotations

import pytest


def test_a_users_tests_see_what_was_published(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_delivered(tidings_publisher, tidings_records, tidings_transport):
            tidings_publisher.publish({"n": 1}, event_type="thing.done", topic="things", key="k").wait(10)
            assert [record.key for record in tidings_records] == [b"k"]
            assert tidings_transport.events("things")[0]["data"] == {"n": 1}

        def test_books_are_checked(tidings_publisher):
            tidings_publisher.publish_json("things", 1)
            tidings_publisher._engine.ledger.delivered += 1
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*books do not balance*"])
