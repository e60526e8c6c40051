"""The verdict: does what is in the topics tell the whole story, each event once at least and in its order?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from examples.kafka_demo.reading import Seen

ORDER = ("user.created", "user.updated", "user.deleted")


class Sent(NamedTuple):
    """An event of a user as the demo sent it. ``answer``: the event type that its greeting is to end in."""

    event_id: str
    event_type: str
    user_id: str
    correlation_id: str
    answer: str


def judge(
    sent: Iterable[Sent],
    users: Iterable[Seen],
    translations: Iterable[Seen],
    shown: Mapping[str, Counter[str]],
) -> list[str]:
    """Everything that is wrong; empty when all is well. Duplicates are no fault: they keep their event_id.

    ``users`` and ``translations`` are the records of the two topics, ``shown`` the ids that each service
    showed.
    """
    wrong: list[str] = []
    events = {it.event_id: it for it in users}
    talk = {(it.event_type, it.key): it for it in translations}
    expected = list(sent)
    places: dict[str, list[Seen]] = {}
    for it in expected:
        found = events.pop(it.event_id, None)
        if found is None or _facts(found) != (it.event_type, it.user_id, it.correlation_id):
            wrong.append(f"{it.event_type} of {it.user_id} is not in its topic as it was sent: {found}")
            continue
        places.setdefault(it.user_id, []).append(found)
        wrong += _unshown("users", found, shown)
        if it.event_type != ORDER[0]:
            continue
        for event_type, service in (("translation.requested", "translations"), (it.answer, "users")):
            answer = talk.pop((event_type, f"welcome-{it.user_id}"), None)
            if answer is None or answer.correlation_id != it.correlation_id:
                wrong.append(
                    f"{event_type} for {it.user_id} is not there under {it.correlation_id}: {answer}"
                )
            else:
                wrong += _unshown(service, answer, shown)
    wrong += [f"nobody sent this: {it}" for it in (*events.values(), *talk.values())]
    for user_id, story in places.items():
        if [it.event_type for it in sorted(story)] != list(ORDER):
            wrong.append(f"the events of {user_id} are out of order: {sorted(story)}")
    return wrong


def _facts(found: Seen) -> tuple[str, str, str]:
    return found.event_type, found.key, found.correlation_id


def _unshown(service: str, found: Seen, shown: Mapping[str, Counter[str]]) -> list[str]:
    if shown[service][found.event_id]:
        return []
    return [f"the {service} service did not show {found.event_type} of {found.key}"]
