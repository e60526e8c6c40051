"""Where the store lives: its directory, what kind of disk that is, and the names of its files."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import msgspec
from filelock import FileLock, Timeout

from tidings.letters.errors import errno_name

_SUFFIX = ".journal"
_NAME_MOST = 120
"""Characters of a store's name: with process, suffix and -wal it stays below the 255 of a file's name."""

_LOCAL = frozenset(
    [
        "ext2",
        "ext3",
        "ext4",
        "xfs",
        "btrfs",
        "zfs",
        "f2fs",
        "bcachefs",
        "jfs",
        "reiserfs",
        "apfs",
        "hfs",
        "overlay",
        "ufs",
    ]
)
_REMOTE = re.compile(
    r"nfs\d*|cifs|smb\d*|smbfs|ceph|glusterfs|lustre|afs|gpfs|beegfs|(fuse\.)?(glusterfs|ceph.*|s3.*)"
)


class Probe(msgspec.Struct, frozen=True):
    """What is wrong with a directory for a store. ``problem``: it cannot be used."""

    problem: str | None = None
    warning: str | None = None


def default_dir() -> Path:
    """``$XDG_STATE_HOME/tidings`` or ``~/.local/state/tidings``. Raises RuntimeError without a home."""
    state = os.environ.get("XDG_STATE_HOME", "")
    base = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
    return base / "tidings"


def probe(directory: Path) -> Probe:
    """Make the directory (0700) and see whether a store can live there: write, sync, remove a small file."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = directory.stat().st_uid
    except FileExistsError:
        return Probe(f"{directory} is a file, not a directory: name a directory as STORE_DIR")
    except NotADirectoryError:
        return Probe(f"a part of {directory} is a file, not a directory: name a directory as STORE_DIR")
    except OSError as error:
        return Probe(
            f"{directory} cannot be made ({_reason(error)}): make it, or name a writable one as STORE_DIR"
        )
    if owner != os.geteuid() and os.geteuid() != 0:
        return Probe(
            f"{directory} belongs to user {owner}, and this process is user {os.geteuid()}: give each user a "
            "STORE_DIR of its own, or change the owner"
        )
    try:
        _write_and_remove(directory)
    except OSError as error:
        return Probe(f"{directory} cannot be written ({_reason(error)}): {_cure(error)}")
    return _judge(directory, filesystem_of(directory))


def filesystem_of(directory: Path) -> str | None:
    """The kind of filesystem a directory is on (``ext4``); None where the system does not say."""
    try:
        with open("/proc/self/mountinfo") as file:
            lines = file.readlines()
    except OSError:
        return None
    return kind_of(os.path.realpath(directory), lines)


def kind_of(directory: str, mountinfo: Sequence[str]) -> str | None:
    """The kind of filesystem of the mount with the longest matching prefix; of equal ones the last, which
    hides the others."""
    longest, kind = -1, None
    for line in mountinfo:
        left, _, right = line.partition(" - ")
        fields, kinds = left.split(), right.split()
        if len(fields) < 5 or not kinds:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
        if len(point) >= longest and (directory == point or directory.startswith(point.rstrip("/") + "/")):
            longest, kind = len(point), kinds[0]
    return kind


def store_name(service: str, brokers: Sequence[str], given: str | None) -> str:
    """The name that a service's processes share: they adopt each other's files. ``given`` (STORE_NAME)
    replaces the service and the brokers. Whatever it is made of, it is the name of a file."""
    if given is not None:
        return _file_name(given)
    digest = hashlib.sha256("\n".join(sorted(brokers)).encode()).hexdigest()[:10]
    return f"{_file_name(service)}-{digest}"


def new_path(directory: Path, name: str) -> Path:
    """A file of this process's own: ``<name>.<pid>-<random>.journal``."""
    return directory / f"{name}.{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"


def orphans(directory: Path, name: str, skip: set[Path]) -> list[Path]:
    """The files of this name that no living process owns, oldest first, but for those in ``skip``.

    Each may be taken by another process before it is opened: that is StoreBusy then. A lock that was left
    without its file is removed.
    """
    found = []
    for path in _files(directory, name):
        if path not in skip and _is_free(path):
            found.append(path)
    return sorted(found, key=_written_at)


def files(directory: Path, name: str) -> list[Path]:
    """The stores of this name, whoever owns them, the oldest first."""
    return sorted(_files(directory, name), key=_written_at)


def _files(directory: Path, name: str) -> set[Path]:
    pattern = re.compile(re.escape(name) + r"\.\d+-[0-9a-f]+" + re.escape(_SUFFIX) + r"(\.lock)?")
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return set()
    return {directory / each.removesuffix(".lock") for each in names if pattern.fullmatch(each)}


def _is_free(path: Path) -> bool:
    lock = FileLock(f"{path}.lock", timeout=0, mode=0o600, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return False
    try:
        if path.exists():
            return True
        os.unlink(lock.lock_file)
        return False
    finally:
        lock.release()


def _written_at(path: Path) -> float:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0


def _write_and_remove(directory: Path) -> None:
    path = directory / f".probe-{os.getpid()}-{secrets.token_hex(4)}"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, b"tidings")
        os.fsync(fd)
    finally:
        os.close(fd)
        path.unlink()


def _judge(directory: Path, kind: str | None) -> Probe:
    if kind is None:
        if sys.platform == "linux":
            return Probe(warning=f"what kind of filesystem {directory} is on is not known")
        return Probe()
    if _REMOTE.fullmatch(kind):
        return Probe(
            f"{directory} is on {kind}, a network filesystem, whose locks and syncs are not to be relied on: "
            "name a directory on a local disk as STORE_DIR"
        )
    if kind in {"tmpfs", "ramfs"}:
        return Probe(
            warning=f"{directory} is on {kind}: what is stored there is gone when the machine or container "
            "stops; name a directory on a disk as STORE_DIR"
        )
    if kind not in _LOCAL:
        return Probe(
            warning=f"{directory} is on {kind}, which may not keep what it says it synced: better name a "
            "directory on a local disk as STORE_DIR"
        )
    return Probe()


def _file_name(text: str) -> str:
    encoded = quote(text, safe="", errors="replace").replace(".", "%2E") or "%"
    if len(encoded) > _NAME_MOST:
        encoded = f"{encoded[: _NAME_MOST - 11]}-{hashlib.sha256(encoded.encode()).hexdigest()[:10]}"
    return encoded


def _reason(error: OSError) -> str:
    return f"{errno_name(error)}: {error.strerror}"


def _cure(error: OSError) -> str:
    name = errno_name(error)
    if name in {"ENOSPC", "EDQUOT"}:
        return "free some space, or name a directory with some as STORE_DIR"
    if name in {"EACCES", "EPERM", "EROFS"}:
        return "make it writable, or name a writable directory as STORE_DIR"
    return "look at the disk, or name a directory on another one as STORE_DIR"
