"""A client of the users service: real HTTP requests, evenly over the run, and a ledger of what was answered.

Prints one line of JSON for each request: when, what, the status, the milliseconds it took and the id of the
event that the service accepted.
"""

from __future__ import annotations

import argparse
import http.client
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from examples.users_demo.facts import Answer, tell
from examples.users_demo.leash import end_with_parent

CONNECTIONS = 4
TIMEOUT = 10.0
PASSWORD = "correct horse battery staple"
EXPECTED = {"register": 201, "login": 200, "failed login": 401, "update": 200}


class Caller:
    """One keep-alive connection and the users it registered."""

    def __init__(self, name: str, port: int) -> None:
        self._name = name
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        self._choice = random.Random(name)
        self._users: list[str] = []

    def run(self, requests: int, seconds: float) -> None:
        """Make ``requests`` requests, one every ``seconds / requests``; late ones follow at once."""
        started = time.monotonic()
        for number in range(requests):
            time.sleep(max(0.0, started + number * seconds / requests - time.monotonic()))
            self._call(number)
        self._connection.close()

    def _call(self, number: int) -> None:
        kind = (
            self._choice.choices(list(EXPECTED), weights=[20, 45, 20, 15])[0] if self._users else "register"
        )
        method, path, body = self._request(kind, number)
        headers = {"content-type": "application/json", "x-correlation-id": f"{self._name}-{number}"}
        at, started = time.time(), time.perf_counter()
        try:
            self._connection.request(method, path, msgspec.json.encode(body), headers)
            response = self._connection.getresponse()
            status, content = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()  # the next request opens it again
            status, content = 0, repr(error).encode()
        milliseconds = (time.perf_counter() - started) * 1000
        good = status == EXPECTED[kind]
        answer = msgspec.json.decode(content) if good else {}
        if kind == "register" and good:
            self._users.append(answer["user_id"])
        tell(
            Answer(
                at=at,
                kind=kind,
                status=status,
                good=good,
                milliseconds=milliseconds,
                event_id=answer.get("event_id"),
                trouble=None if good else content.decode(errors="replace")[:200],
            )
        )

    def _request(self, kind: str, number: int) -> tuple[str, str, dict[str, Any]]:
        name = f"{self._name}-{number}"
        if kind == "register":
            return "POST", "/users", {"name": name, "email": f"{name}@example.org", "password": PASSWORD}
        path = f"/users/{self._choice.choice(self._users)}"
        if kind == "update":
            return "PATCH", path, {"email": f"{name}@example.com"}
        return "POST", f"{path}/login", {"password": PASSWORD if kind == "login" else "password1"}


def main() -> None:
    """Make the requests and end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="the service's port on 127.0.0.1")
    parser.add_argument("--requests", type=int, required=True, help="how many requests to make")
    parser.add_argument("--seconds", type=float, required=True, help="the time to spread them over")
    arguments = parser.parse_args()
    end_with_parent()
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        runs = [
            threads.submit(
                Caller(f"caller{number}", arguments.port).run,
                arguments.requests // CONNECTIONS + (number < arguments.requests % CONNECTIONS),
                arguments.seconds,
            )
            for number in range(CONNECTIONS)
        ]
    for run in runs:
        run.result()  # raises what the thread raised


if __name__ == "__main__":
    main()
