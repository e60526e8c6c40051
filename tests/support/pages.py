"""Pages of docs/ that are programs: their blocks run in order, and print what their comments say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tidings.testing import EmbeddedBroker

_DOCS = Path(__file__).parents[2] / "docs"


def run_page(name: str, folder: Path, *, comments: int) -> list[str]:
    """Run the page on a broker of its own, with its store in ``folder``; what it printed.

    Fails unless it prints what its ``comments`` comments behind print() say, in their order.
    """
    code = "\n".join(re.findall(r"```python\n(.*?)```", (_DOCS / name).read_text(), re.DOTALL))
    said = re.findall(r"^\s*print\(.*\)\s+# (.+)$", code, re.MULTILINE)
    assert len(said) == comments
    script = folder / "page.py"
    script.write_text(code)
    with EmbeddedBroker() as broker:
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")},
            "KAFKA_BROKERS": broker.bootstrap_servers,
            "KAFKA_GROUP_PROTOCOL": "consumer",  # the mock's classic groups take a session to change
            "KAFKA_STORE_DIR": str(folder),
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
    return printed
