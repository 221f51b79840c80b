"""The data directory: one owner at a time, the secret of tokens, and who served from it last."""

import contextlib
import fcntl
import logging
import os
import secrets
import time
from pathlib import Path

import msgspec

from liveserver import processes

logger = logging.getLogger(__name__)

SECRET_BYTES = 32  # HS256 wants a key as long as its hash (RFC 7518, 3.2)
LOCK_PATIENCE = 0.5  # seconds; a killed owner's lock goes with its last file, not at once
CHILD_PATIENCE = 2.5  # seconds; children of a dead supervisor end by themselves within 2


class DataDirError(Exception):
    """The data directory cannot be used; the message says why in words."""


class DirectoryLock:
    """
    The right to serve from one data directory, held until `release` or the end of the process.

    The file is not inherited by children, so the lock ends with the supervisor however it dies.
    """

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "lock"
        self._fd: int | None = None

    def take(self) -> None:
        """Raises DataDirError when another server holds it."""
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + LOCK_PATIENCE
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    owner = os.pread(fd, 20, 0).decode(errors="replace").strip()
                    os.close(fd)
                    raise DataDirError(
                        f"another liveserver (process {owner or 'unknown'}) uses the data "
                        f"directory {self.path.parent}; stop it first, or choose another DATA_DIR"
                    ) from None
            time.sleep(0.05)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def prepare(data_dir: Path) -> None:
    """Make the directory, for its owner alone. Raises DataDirError in words."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DataDirError(f"DATA_DIR: cannot make {data_dir}: {error.strerror}") from None
    if not os.access(data_dir, os.W_OK | os.X_OK):
        raise DataDirError(f"DATA_DIR: cannot write into {data_dir}")


def token_secret(data_dir: Path) -> str:
    """
    The secret kept in the data directory, made at the first call, readable by its owner alone.

    Two processes that start at once get the same one: the file appears complete or not at all.
    """
    path = data_dir / "token_secret"
    if not path.exists():
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_hex(SECRET_BYTES))
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    secret = path.read_text().strip()
    if not secret:
        raise DataDirError(f"{path} is empty; delete it (everybody is logged out) or restore it")
    return secret


class Child(msgspec.Struct, frozen=True):
    """One worker as written down: its name stands in its command line too."""

    pid: int
    node: str


class Roll(msgspec.Struct, frozen=True):
    """Who serves from the directory, and which of them last held the writer's lease."""

    children: list[Child]
    holder: str | None = None


def write_roll(data_dir: Path, roll: Roll) -> None:
    path = data_dir / "processes.json"
    fresh = path.with_name(".processes.json")
    fresh.write_bytes(msgspec.json.encode(roll))
    fresh.replace(path)


def end_leftovers(data_dir: Path) -> str | None:
    """
    Wait for the children of a killed supervisor to end, help after CHILD_PATIENCE; blocks.

    Returns the lease holder among the dead, whose lease may be taken at once.
    """
    try:
        roll = msgspec.json.decode((data_dir / "processes.json").read_bytes(), type=Roll)
    except (OSError, msgspec.MsgspecError):
        return None
    deadline = time.monotonic() + CHILD_PATIENCE
    for child in roll.children:
        patience = max(0.0, deadline - time.monotonic())
        if not processes.end_process(child.pid, _is(child), patience, kill_after=0.5):
            raise DataDirError(f"a worker of an earlier server (process {child.pid}) does not end")
    return roll.holder


def _is(child: Child) -> processes.Check:
    return lambda pid: child.node in processes.command_line(pid)
