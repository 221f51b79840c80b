"""Many buyers on few units, through real sockets, with the server struck in between."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from loadtest import rush
from loadtest.server import BIN, Server

UNITS = 50
BUYERS = 200


def orders_in_sql(data: Path) -> dict[str, tuple[str, str, int]]:
    """buyer -> (order id, key, quantity) of every order, read past the server."""
    with sqlite3.connect(f"file:{data / 'liveserver.db'}?mode=ro", uri=True) as connection:
        rows = connection.execute(
            "SELECT o.buyer, o.id, o.key, sum(l.quantity) FROM orders o"
            " JOIN order_lines l ON l.order_id = o.id GROUP BY o.id"
        ).fetchall()
    assert len({row[0] for row in rows}) == len(rows), "a buyer has two orders"
    return {buyer: (order, key, quantity) for buyer, order, key, quantity in rows}


def audit(server: Server) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "liveserver", "stock", "audit"],
        env={**os.environ, "LIVESERVER_DATA_DIR": str(server.data)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def check(done: rush.Rush, server: Server) -> None:
    """Exactly the units were sold, everybody was answered, every acknowledgement is in SQL."""
    assert done.outcomes() == {"order": UNITS, "sold-out": BUYERS - UNITS}
    stored = orders_in_sql(server.data)
    assert len(stored) == UNITS
    for buyer in done.buyers:
        if buyer.order:
            order = json.loads(buyer.order)
            assert stored[buyer.user] == (order["id"], buyer.key, 1)
    result = audit(server)
    assert result.returncode == 0, result.stdout + result.stderr


def test_two_hundred_buyers_get_exactly_fifty_units(demo: Server) -> None:
    """50 orders, 150 refusals in words, and the books agree."""
    done = asyncio.run(rush.run(demo.base, buyers=BUYERS, units=UNITS))
    check(done, demo)


def listening_on(port: int) -> set[int | None]:
    """Processes of this machine that listen on a TCP port."""
    found = {
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    }
    assert found, "nobody listens"
    return found


async def until_in_the_middle(done: rush.Rush) -> None:
    """Returns with 10-40 acknowledgements held and at least 20 requests open."""
    while not (10 <= done.acknowledged <= 40 and done.open_requests >= 20):  # noqa: ASYNC110
        await asyncio.sleep(0)  # looked at after every step: the window is a few milliseconds


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_killed_worker_loses_no_acknowledged_order(
    make_server: Callable[..., Server], workers: str
) -> None:
    """kill -9 of a worker while requests are open: it comes back, and the count is exact."""
    server = make_server("--demo", "--workers", workers)
    victim = server.workers()[0]

    async def strike(done: rush.Rush) -> None:
        await until_in_the_middle(done)
        victim.send_signal(signal.SIGKILL)

    done = asyncio.run(rush.run(server.base, buyers=BUYERS, units=UNITS, strike=strike))
    assert not victim.is_running() or victim.status() == psutil.STATUS_ZOMBIE
    check(done, server)


def test_a_killed_supervisor_and_an_immediate_new_start_lose_nothing(
    make_server: Callable[..., Server],
) -> None:
    """kill -9 of the supervisor alone, a new one at once: one owner of the port, no hand needed."""
    server = make_server("--demo")
    first = server.children()

    async def strike(done: rush.Rush) -> None:
        await until_in_the_middle(done)
        server.kill_supervisor_alone()
        await asyncio.to_thread(server.start)

    done = asyncio.run(rush.run(server.base, buyers=BUYERS, units=UNITS, strike=strike))
    check(done, server)
    gone_by = time.monotonic() + 10
    while any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in first):
        assert time.monotonic() < gone_by, "a child outlived its supervisor"
        time.sleep(0.05)
    assert listening_on(server.port) <= {server.pid, *(p.pid for p in server.children())}


def test_an_audit_names_exactly_the_row_that_was_edited_by_hand(demo: Server) -> None:
    """The audit prints the one difference and exits 1."""
    asyncio.run(rush.run(demo.base, buyers=5, units=3))
    assert demo.stop() == 0
    database = demo.data / "liveserver.db"
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE flash_sale SET sold = sold - 1")
    connection.close()
    result = audit(demo)
    assert result.returncode == 1
    differences = [line for line in result.stdout.splitlines() if line.strip()]
    assert len(differences) == 1, result.stdout
    assert "sold" in differences[0] and "2" in differences[0] and "3" in differences[0]
