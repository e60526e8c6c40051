"""docs/replay.md: its blocks run in order on a broker, and print what its comments say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tidings.testing import EmbeddedBroker

PAGE = (Path(__file__).parents[2] / "docs/replay.md").read_text()


def test_the_comments_are_what_is_printed(tmp_path: Path) -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    said = re.findall(r"^print\(.*\)\s+# (.+)$", code, re.MULTILINE)
    assert len(said) == 3
    script = tmp_path / "replay.py"
    script.write_text(code)
    with EmbeddedBroker() as broker:
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")},
            "KAFKA_BROKERS": broker.bootstrap_servers,
            "KAFKA_GROUP_PROTOCOL": "consumer",  # the mock's classic groups take a session to change
            "KAFKA_STORE_DIR": str(tmp_path),
        }
        done = subprocess.run(
            [sys.executable, "-W", "error", str(script)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=env,
        )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert [line for line in printed if line in said] == said
    assert printed.count("billed o-1") == 1
