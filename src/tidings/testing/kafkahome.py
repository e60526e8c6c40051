"""What the nodes of a real Kafka share: a directory, its watchdog, certificates, and their command lines."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from tidings.testing import watchdog
from tidings.testing.cache import ClassArchive
from tidings.testing.certificates import make_certificates
from tidings.testing.errors import RealKafkaError
from tidings.testing.jars import kafka_jars
from tidings.testing.java import find_java
from tidings.testing.kafkaconfig import choose_addresses, render
from tidings.testing.kafkanode import KafkaNode, launch, tail

_FORMAT_TIMEOUT = 60.0  # seconds; 0.7 on an idle machine
_WATCHDOG_TIMEOUT = 10.0
_JVM = (
    *("-Xms96m", "-Xmx1g", "-XX:MaxDirectMemorySize=512m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"),
    # The second compiler pays after minutes, and its work is felt at once where the cores are few: without it
    # one node is ready after 2.4 s instead of 2.9 s, three after 5.2 s instead of 9.2 s.
    "-XX:TieredStopAtLevel=1",
    *("-Djava.awt.headless=true", "-Djava.net.preferIPv4Stack=true"),
    # A JVM keeps a file of counters in the system's temporary directory, and SIGKILL leaves it there.
    "-XX:-UsePerfData",
)
_LOG4J = """\
status=warn
appender.console.type=Console
appender.console.name=STDOUT
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=info
rootLogger.appenderRef.stdout.ref=STDOUT
"""


class KafkaHome:
    """Made when a cluster starts and removed when it stops; nothing of a cluster is anywhere else."""

    def __init__(
        self,
        nodes: int,
        users: Mapping[str, str],
        config: Mapping[str, str],
        jvm_options: Sequence[str],
        *,
        fronted: bool = False,
    ) -> None:
        jars, java = kafka_jars(), find_java()
        self.owner = os.getpid()
        self.directory = Path(tempfile.mkdtemp(prefix="tidings-kafka-"))
        self._watchdog = subprocess.Popen(  # noqa: S603 - this Python, our own file
            [sys.executable, "-I", "-S", watchdog.__file__, str(self.directory), str(self.owner)],
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the tests
        )
        try:
            self.certificates = make_certificates(self.directory)
            self.archive = ClassArchive(java, jars, self.directory)
            self._users = users
            self._java = [str(java.path), *_JVM, *jvm_options]
            self._classes = [
                f"-Dlog4j2.configurationFile={self.directory / 'log4j2.properties'}",
                f"-Djava.io.tmpdir={self.directory}",  # where snappy and zstd unpack their native libraries
                *("-cp", os.pathsep.join(str(jar) for jar in jars)),
            ]
            (self.directory / "log4j2.properties").write_text(_LOG4J)
            self.addresses = choose_addresses(nodes)
            for me in self.addresses:
                disk = self.directory / f"disk{me.node}"
                text = render(me, self.addresses, disk, self.certificates, users, config, fronted=fronted)
                self._properties(me.node).write_text(text)
        except BaseException:
            self.remove()
            raise

    def new_nodes(self) -> dict[int, KafkaNode]:
        """The nodes by number, not started."""
        return {
            address.node: KafkaNode(address.node, self.directory, f"127.0.0.1:{address.plain}")
            for address in self.addresses
        }

    def command(self, node: int, *, record: bool = False) -> list[str]:
        """How a node's process is started; with ``record`` it writes the class archive when it ends."""
        options = self.archive.options(record=record)
        return [*self._java, *options, *self._classes, "kafka.Kafka", str(self._properties(node))]

    def format_disks(self) -> None:
        """Prepare every node's disk, with SCRAM's users on it; all at once, as each takes a JVM's start."""
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
        users = [
            f"--add-scram={mechanism}=[name={user},password={password}]"
            for user, password in self._users.items()
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        ]
        tool = [*self._java, *self.archive.options(), *self._classes, "kafka.tools.StorageTool"]
        running = []
        for address in self.addresses:
            log = self.directory / f"format{address.node}.log"
            what = ["format", "-t", cluster, "-c", str(self._properties(address.node)), *users]
            running.append((launch(log.with_suffix(".pid"), log, [*tool, *what]), log))
        for process, log in running:
            if process.wait(_FORMAT_TIMEOUT):
                raise RealKafkaError(
                    f"Kafka could not format a disk:\n{tail(log.read_text(errors='replace'))}"
                )
            log.with_suffix(".pid").unlink()

    def remove(self) -> None:
        """Remove the directory, and end the watchdog, which kills whatever should still run."""
        watchdog.kill_nodes(self.directory)
        shutil.rmtree(self.directory, ignore_errors=True)
        if self._watchdog.stdin is not None:
            self._watchdog.stdin.close()
        self._watchdog.wait(_WATCHDOG_TIMEOUT)

    def _properties(self, node: int) -> Path:
        return self.directory / f"node{node}.properties"
