"""Where a store may live, what its files are called, and which of them nobody owns."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.journals import opened, owed
from tidings.letters import place
from tidings.letters.place import Probe, default_dir, kind_of, new_path, orphans, probe, store_name

_MOUNTS = [
    "1 0 0:1 / / rw - ext4 /dev/vda rw",
    "2 1 0:2 / /dev/shm rw,nosuid - tmpfs tmpfs rw",
    r"3 1 0:3 / /mnt/with\040space rw shared:1 - nfs4 server:/x rw",
    "4 1 0:4 / /srv rw - ext4 /dev/vdb rw",
    "5 4 0:5 / /srv rw - fuse.sshfs host:/ rw",
    "nonsense",
]


@pytest.mark.parametrize(
    ("directory", "kind"),
    [
        ("/", "ext4"),
        ("/var/lib", "ext4"),
        ("/dev/shm/x", "tmpfs"),
        ("/dev/shmx", "ext4"),
        ("/mnt/with space/x", "nfs4"),
        ("/srv/x", "fuse.sshfs"),
    ],
)
def test_the_longest_mount_tells_the_filesystem(directory: str, kind: str) -> None:
    assert kind_of(directory, _MOUNTS) == kind


@pytest.mark.parametrize(
    ("kind", "has_problem", "has_warning"),
    [
        ("ext4", False, False),
        ("xfs", False, False),
        ("overlay", False, False),
        ("tmpfs", False, True),
        ("fuse.sshfs", False, True),
        ("9p", False, True),
        ("virtiofs", False, True),
        ("newfs", False, True),
        ("nfs", True, False),
        ("nfs4", True, False),
        ("cifs", True, False),
        ("smb3", True, False),
        ("ceph", True, False),
        ("glusterfs", True, False),
        ("fuse.glusterfs", True, False),
        ("lustre", True, False),
    ],
)
def test_what_each_filesystem_means(
    kind: str, has_problem: bool, has_warning: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "filesystem_of", lambda directory: kind)
    found = probe(tmp_path)
    assert (found.problem is not None, found.warning is not None) == (has_problem, has_warning)
    for message in (found.problem, found.warning):
        assert message is None or (kind in message and "STORE_DIR" in message)


def test_a_directory_is_made_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "filesystem_of", lambda directory: "ext4")
    directory = tmp_path / "a" / "b"
    assert probe(directory) == Probe()
    assert directory.stat().st_mode & 0o777 == 0o700
    assert os.listdir(directory) == []


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert "is a file, not a directory" in str(probe(file).problem)
    assert "is a file, not a directory" in str(probe(file / "below").problem)


@pytest.mark.parametrize("code", ["EACCES", "EROFS", "ENOSPC", "EIO"])
def test_a_directory_that_cannot_be_written_is_told_with_a_cure(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    def fail(fd: int) -> None:
        raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))

    monkeypatch.setattr(os, "fsync", fail)
    problem = str(probe(tmp_path).problem)
    assert "cannot be written" in problem
    assert code in problem
    assert "STORE_DIR" in problem
    assert os.listdir(tmp_path) == []


def test_another_users_directory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    problem = str(probe(tmp_path).problem)
    assert f"belongs to user {tmp_path.stat().st_uid}" in problem
    assert "4711" in problem


def test_the_default_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_dir() == tmp_path / "tidings"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")  # such a path must be ignored, says the specification
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_dir() == tmp_path / ".local" / "state" / "tidings"


@given(st.text(), st.lists(st.text(), max_size=3), st.none() | st.text())
def test_a_store_name_is_always_the_name_of_a_file(
    service: str, brokers: list[str], given: str | None
) -> None:
    name = store_name(service, brokers, given)
    assert "/" not in name
    assert "." not in name
    assert "\0" not in name
    assert 0 < len(name.encode()) <= 140
    assert name == store_name(service, list(reversed(brokers)), given)


def test_other_services_and_brokers_have_other_names() -> None:
    names = [
        store_name("a", ["b:1"], None),
        store_name("a", ["b:2"], None),
        store_name("b", ["b:1"], None),
        store_name("x" * 300, ["b:1"], None),
        store_name("x" * 301, ["b:1"], None),
        store_name("a/b", [], "x/y"),
    ]
    assert len(set(names)) == len(names)
    assert store_name("a", ["b:1"], "given") == "given"


def test_orphans_are_the_files_nobody_owns(tmp_path: Path) -> None:
    assert orphans(tmp_path / "missing", "a", set()) == []
    name, other = store_name("a", [], None), store_name("ab", [], None)
    alive, own, dead = (new_path(tmp_path, name) for _ in range(3))
    stranger = new_path(tmp_path, other)
    assert dead.name.startswith(f"{name}.{os.getpid()}-")
    for path in (own, dead, stranger):
        journal = opened(path)
        journal.commit([owed(journal)])
        journal.close()
    living = opened(alive)
    (tmp_path / f"{dead.name}.damaged-1").touch()
    stale = tmp_path / f"{name}.1-00.journal.lock"
    stale.touch()
    assert orphans(tmp_path, name, {own}) == [dead]
    assert not stale.exists()
    living.close()


def test_the_file_of_a_living_process_is_no_orphan_and_that_of_a_dead_one_is(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from support.journals import opened, owed\n"
        "journal = opened(pathlib.Path(sys.argv[1])); journal.commit([owed(journal)])\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    path = new_path(tmp_path, "a")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", program, path], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        assert orphans(tmp_path, "a", set()) == []
        child.kill()
    assert orphans(tmp_path, "a", set()) == [path]
