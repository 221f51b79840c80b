"""
Backup and restore of a data directory: one tar file that is complete, checked, and private.

The database is copied with SQLite's online backup, so that a server may go on selling; nothing of
the bus is in it, which is rebuilt from the database. A restore never deletes what was there.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from liveserver import datadir

DATABASE = "liveserver.db"
IMAGES = "images"
MANIFEST = "manifest.json"
LAST = "last_backup.json"  # in the data directory: when the last one was made
FILES = ("token_secret",)
FORMAT = 1
PAGES_A_STEP = 2_000  # 8 MB: between two steps the writer gets its turn
MAX_MEMBER_BYTES = 1 << 40
MOVED_ASIDE = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", *FILES, IMAGES, "bus")


class BackupError(Exception):
    """It cannot be done; the message says why in words."""


def backup(data_dir: Path, target: Path) -> dict[str, Any]:
    """
    Write `target` and read it back; its manifest. A server may be running meanwhile.

    Raises BackupError; then there is no `target`.
    """
    if not (data_dir / DATABASE).exists():
        raise BackupError(f"there is no database at {data_dir / DATABASE}")
    if target.exists():
        raise BackupError(f"{target} exists already; choose another name")
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".backup-") as folder:
            copy = Path(folder) / DATABASE
            _copy_database(data_dir / DATABASE, copy)
            manifest = _write(fresh, data_dir, copy)
        verify(fresh)
        os.replace(fresh, target)
    except (OSError, sqlite3.Error, tarfile.TarError) as error:
        raise BackupError(f"the backup failed: {error}") from error
    finally:
        fresh.unlink(missing_ok=True)
    last = data_dir / LAST
    with contextlib.suppress(OSError):  # the backup is good without this note
        last.write_text(json.dumps({"at": manifest["at"], "file": str(target.absolute())}))
    return manifest


def _copy_database(source: Path, copy: Path) -> None:
    with (
        contextlib.closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as live,
        contextlib.closing(sqlite3.connect(copy)) as into,
    ):
        live.execute("BEGIN")  # one moment: else the copy begins anew at each commit of the writer
        live.execute("SELECT count(*) FROM sqlite_master").fetchone()
        live.backup(into, pages=PAGES_A_STEP)
        into.execute("PRAGMA journal_mode=DELETE")  # one file, nothing beside it


def _write(fresh: Path, data_dir: Path, copy: Path) -> dict[str, Any]:
    members = {DATABASE: copy}
    members |= {name: data_dir / name for name in FILES if (data_dir / name).exists()}
    folder = data_dir / IMAGES
    if folder.is_dir():
        members |= {f"{IMAGES}/{path.name}": path for path in sorted(folder.iterdir())}
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    sums = {}
    with os.fdopen(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            for name, path in members.items():
                with contextlib.suppress(FileNotFoundError):  # a picture replaced just now
                    sums[name] = _add(tar, name, path)
            manifest = {"format": FORMAT, "at": int(time.time()), "sha256": sums}
            body = json.dumps(manifest, indent=1).encode()
            info = tarfile.TarInfo(MANIFEST)
            info.size, info.mode = len(body), 0o600
            tar.addfile(info, io.BytesIO(body))
        file.flush()
        os.fsync(file.fileno())
    return manifest


def _add(tar: tarfile.TarFile, name: str, path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
        file.seek(0)
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = size, 0o600, int(time.time())
        tar.addfile(info, file)
    return digest


def verify(path: Path) -> dict[str, Any]:
    """Read a backup from end to end: every file as the manifest says, the database whole."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".verify-") as folder:
        return _unpack(path, Path(folder))


def _unpack(path: Path, folder: Path) -> dict[str, Any]:
    """Into an empty folder, checked. Raises BackupError."""
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                _take_out(tar, member, folder)
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
        sums = dict(manifest["sha256"])
        known = manifest["format"] == FORMAT
    except (OSError, tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{path} is no backup, or not whole: {error}") from None
    if not known:
        raise BackupError(f"{path} was written by another version (format {manifest['format']})")
    found = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {MANIFEST}
    if found != sums.keys() or DATABASE not in found:
        raise BackupError(f"{path} is not whole: {sorted(found ^ sums.keys())}")
    for name, digest in sums.items():
        with (folder / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise BackupError(f"{path}: {name} is not as it was written")
    _check_database(folder / DATABASE, path)
    return manifest


def _take_out(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """One file. Only names that a backup has are let out, so that none lands elsewhere."""
    head, _slash, tail = member.name.rpartition("/")
    plain = member.name in (DATABASE, MANIFEST, *FILES) or (
        head == IMAGES and tail not in ("", ".", "..")
    )
    source = tar.extractfile(member) if member.isreg() and plain else None
    if source is None or member.size > MAX_MEMBER_BYTES:
        raise BackupError(f"a backup holds no {member.name!r}")
    place = folder / member.name
    place.parent.mkdir(exist_ok=True)
    with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        shutil.copyfileobj(source, file)


def _check_database(database: Path, path: Path) -> None:
    try:
        with contextlib.closing(sqlite3.connect(database)) as connection:
            verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
            connection.execute("SELECT count(*) FROM orders").fetchone()
    except sqlite3.Error as error:
        verdict = str(error)
    if verdict != "ok":
        raise BackupError(f"{path}: the database in it is damaged: {verdict}")


def restore(data_dir: Path, path: Path) -> Path | None:
    """
    Put a backup in place; the folder with what was there before, None if there was nothing.

    Raises BackupError, and DataDirError when a server uses the directory. Nothing has changed then.
    """
    datadir.prepare(data_dir)
    with _locked(data_dir), tempfile.TemporaryDirectory(dir=data_dir, prefix=".restore-") as new:
        folder = Path(new)
        _unpack(path, folder)
        _raise_fence(folder / DATABASE, data_dir / DATABASE)
        aside = _move_aside(data_dir)
        for name in (DATABASE, *FILES, IMAGES):
            if (folder / name).exists():
                os.replace(folder / name, data_dir / name)
        _sync(data_dir)
    return aside


@contextlib.contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    lock = datadir.DirectoryLock(data_dir)
    lock.take()
    try:
        yield
    finally:
        lock.release()


def _raise_fence(new: Path, old: Path) -> None:
    """
    Above every fence that was ever given here: what gateways and pages know by an older fence then
    counts as older.
    """
    fences = [0]
    if old.exists():
        with (
            contextlib.suppress(sqlite3.Error),  # damaged: perhaps why it is restored
            contextlib.closing(sqlite3.connect(f"file:{old}?mode=ro", uri=True)) as connection,
        ):
            fences += [row[0] for row in connection.execute("SELECT fence FROM lease")]
    with contextlib.closing(sqlite3.connect(new)) as connection:
        connection.execute(
            "UPDATE lease SET holder = '', fence = max(fence, ?) + 1, beat = 0", (max(fences),)
        )
        connection.commit()


def _move_aside(data_dir: Path) -> Path | None:
    present = [name for name in MOVED_ASIDE if (data_dir / name).exists()]
    if not present:
        return None
    aside = data_dir / time.strftime("before-restore-%Y%m%d-%H%M%S", time.gmtime())
    aside.mkdir(mode=0o700)
    for name in present:
        os.replace(data_dir / name, aside / name)
    return aside


def _sync(folder: Path) -> None:
    """The new names are on the disk, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
