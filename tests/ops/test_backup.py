"""Backup, restore, repair and the doctor: real files, real servers."""

import asyncio
import contextlib
import io
import json
import os
import sqlite3
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from liveserver import backup
from liveserver.datadir import DataDirError, DirectoryLock
from loadtest import rush
from loadtest.server import BIN, Server
from orders.audit_sql import audit
from orders.errors import SoldOut
from orders.repair_sql import CannotRepair, repair
from tests.orders.shop import START, open_shop, reserve

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def run(data: Path, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LIVESERVER_")}
    return subprocess.run(
        [BIN / "liveserver", *arguments],
        env=kept | {"LIVESERVER_DATA_DIR": str(data)} | environ,
        cwd=data.parent, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def rows(database: Path, query: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


def change(database: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute(statement)
        connection.commit()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with an empty shop, a secret and a picture."""
    folder = tmp_path / "data"
    assert run(folder, "db", "upgrade").returncode == 0
    assert run(folder, "token", "--user", "u").returncode == 0
    (folder / "images").mkdir()
    (folder / "images" / "mug-1.png").write_bytes(b"picture")
    return folder


def test_a_server_is_backed_up_while_it_sells_and_restored(tmp_path: Path) -> None:
    """The copy is one moment: its books agree. Restored, the shop goes on from there."""
    server = Server(tmp_path / "data", {}, ("--demo",)).start()
    try:
        asyncio.run(rush.run(server.base, buyers=20, units=10))
        assert run(server.data, "backup", "live.tar").returncode == 0
        refused = run(server.data, "restore", "live.tar")
        assert refused.returncode == 1 and "another liveserver" in refused.stderr
    finally:
        assert server.stop() == 0
    fence = rows(server.data / "liveserver.db", "SELECT fence FROM lease")[0][0]
    change(server.data / "liveserver.db", "DELETE FROM orders")
    done = run(server.data, "restore", "live.tar")
    assert done.returncode == 0, done.stderr
    assert rows(server.data / "liveserver.db", "SELECT count(*) FROM orders") == [(10,)]
    assert rows(server.data / "liveserver.db", "SELECT fence FROM lease")[0][0] > fence  # type: ignore[operator]
    aside = next(server.data.glob("before-restore-*"))
    assert rows(aside / "liveserver.db", "SELECT count(*) FROM orders") == [(0,)]
    assert run(server.data, "stock", "audit").returncode == 0
    server.start()
    try:
        asyncio.run(rush.run(server.base, buyers=5, units=3))
    finally:
        server.stop()
    assert run(server.data, "stock", "audit").returncode == 0


def test_a_backup_is_private_whole_and_noted(data: Path, tmp_path: Path) -> None:
    """Readable by its owner alone; database, secret and pictures; the doctor knows its age."""
    target = tmp_path / "b.tar"
    assert run(data, "backup", str(target)).returncode == 0
    assert target.stat().st_mode & 0o077 == 0
    with tarfile.open(target) as tar:
        assert set(tar.getnames()) == {
            "liveserver.db", "token_secret", "images/mug-1.png", "manifest.json",
        }  # fmt: skip
    assert "days old" in run(data, "doctor").stdout
    again = run(data, "backup", str(target))
    assert again.returncode == 1 and "exists already" in again.stderr
    assert list(tmp_path.glob(".*")) == []


def test_a_damaged_or_foreign_file_changes_nothing(data: Path, tmp_path: Path) -> None:
    """A flipped byte, a cut file, another tar, a name that leads elsewhere."""
    good = tmp_path / "good.tar"
    backup.backup(data, good)
    content = good.read_bytes()
    at = content.index(b"picture")
    bad = {
        "flipped": content[:at] + b"P" + content[at + 1 :],
        "cut": content[: len(content) // 2],
        "text": b"no tar at all",
    }
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("images/../../evil"))
    bad["escape"] = stream.getvalue()
    for name, body in bad.items():
        path = tmp_path / f"{name}.tar"
        path.write_bytes(body)
        with pytest.raises(backup.BackupError):
            backup.restore(data, path)
    assert not (tmp_path / "evil").exists()
    assert list(data.glob("before-restore-*")) == []
    assert (data / "images" / "mug-1.png").read_bytes() == b"picture"


def test_a_used_directory_is_not_restored_into(data: Path, tmp_path: Path) -> None:
    good = tmp_path / "good.tar"
    backup.backup(data, good)
    lock = DirectoryLock(data)
    lock.take()
    try:
        with pytest.raises(DataDirError):
            backup.restore(data, good)
    finally:
        lock.release()


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_another_database_is_refused_with_the_way_to_do_it(tmp_path: Path, command: str) -> None:
    done = run(tmp_path / "data", command, "x.tar", LIVESERVER_DATABASE_URL="postgresql://h/shop")
    assert done.returncode == 1
    assert "pg_dump" in done.stderr


# ── repair ──────────────────────────────────────────────────────────────────────────────────────


async def test_repair_sets_every_counter_right_beside_a_running_writer(database_url: str) -> None:
    """The writer notices, loads what was repaired, and sells on by it."""
    async with open_shop(database_url) as (shop, engine):
        await shop.product(stock=20)
        sale = await shop.sale(units=5)
        await shop.reserve(sale, "ann")
        async with engine.begin() as connection:
            for statement in (
                "UPDATE flash_sale SET sold = 5",
                "UPDATE product_stock SET committed = 7",
                "UPDATE buyer_units SET units = 3",
            ):
                await connection.exec_driver_sql(statement)
        wrong = await audit(engine)
        assert len(wrong) == 3
        shown = await repair(engine, START, dry_run=True)
        assert len(shown.done) == 3 and await audit(engine) == wrong
        assert (await repair(engine, START, dry_run=False)) == shown
        assert await audit(engine) == []
        assert (await repair(engine, START, dry_run=False)).done == []
        for n in range(4):
            await _insist(shop, sale, f"b{n}")  # type: ignore[no-untyped-call]
        with pytest.raises(SoldOut):
            await shop.reserve(sale, "late")
        assert await audit(engine) == []


async def _insist(shop, sale, buyer):  # type: ignore[no-untyped-def]
    """As a buyer does: the writer may be taking its lease anew."""
    from orders.errors import Unavailable

    async with asyncio.timeout(20):
        while True:
            try:
                return await shop.writer.ask(reserve(sale, buyer))
            except Unavailable:
                await asyncio.sleep(0.05)


async def test_what_is_no_counter_needs_a_person(database_url: str) -> None:
    """Amounts and states are evidence; repair names them and leaves them."""
    async with open_shop(database_url) as (shop, engine):
        await shop.product(stock=20)
        await shop.reserve(await shop.sale(units=5), "ann")
        async with engine.begin() as connection:
            await connection.exec_driver_sql("UPDATE orders SET amount_cents = 1")
        found = await repair(engine, START, dry_run=False)
        assert found.done == [] and len(found.left) == 1
        assert len(await audit(engine)) == 1


async def test_more_held_than_there_is_is_not_hidden(sqlite_url: str) -> None:
    """A right number that a CHECK refuses: nothing is changed."""
    async with open_shop(sqlite_url) as (shop, engine):
        await shop.product(stock=20)
        await shop.reserve(await shop.sale(units=5), "ann")
        async with engine.begin() as connection:
            await connection.exec_driver_sql("UPDATE flash_sale SET units = 0, sold = 0")
        with pytest.raises(CannotRepair):
            await repair(engine, START, dry_run=False)


def test_repair_on_the_command_line(data: Path) -> None:
    """Nothing to do ends with 0; no database is a mistake in words."""
    assert run(data, "stock", "repair", "--dry-run").returncode == 0
    done = run(data.parent / "none", "stock", "repair")
    assert done.returncode == 1 and "there is no database" in done.stderr


# ── doctor ──────────────────────────────────────────────────────────────────────────────────────


def test_a_healthy_directory_passes(data: Path) -> None:
    done = run(data, "doctor", LIVESERVER_PORT="0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "none was made yet" in done.stdout


def test_the_doctor_names_what_is_wrong(data: Path, tmp_path: Path) -> None:
    """Permissions, secret, clock, bus and blocked webhooks, all in one go."""
    data.chmod(0o755)
    now = "9999999999999"
    change(data / "liveserver.db", f"INSERT INTO lease VALUES ('orders', '', 1, 0, {now})")
    change(
        data / "liveserver.db",
        "INSERT INTO webhook_endpoint (id, merchant, url, events, state, secret, old_secret_until,"
        " failures, paused_until, created_at)"
        " VALUES ('e', 'acme', 'http://127.0.0.1:9/x', '[]', 'active', 's', 0, 0, 0, 0)",
    )
    done = run(
        data, "doctor", LIVESERVER_PORT="0", LIVESERVER_TOKEN_SECRET="short",
        LIVESERVER_REDIS_URL=f"unix://{tmp_path}/none.sock",
    )  # fmt: skip
    assert done.returncode == 1
    bad = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("bad")}
    assert bad == {"permissions", "secret", "clock", "bus"}, done.stdout
    assert "acme's endpoint at 127.0.0.1:9" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_manifest_is_json_that_says_when(data: Path, tmp_path: Path) -> None:
    manifest = backup.backup(data, tmp_path / "b.tar")
    assert manifest == backup.verify(tmp_path / "b.tar")
    assert json.loads((data / backup.LAST).read_text())["at"] == manifest["at"]
