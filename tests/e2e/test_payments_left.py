"""Payments that no order needs any more, on the real server: closed, or the money goes back."""

import asyncio
import sqlite3
import time
from collections import Counter
from pathlib import Path

from loadtest.books import Row
from loadtest.journal import Journal, read
from loadtest.late import LatePayers
from loadtest.server import Server
from loadtest.shop import Json, Shop
from loadtest.waves import Waves

SETTLED_SECONDS = 30.0  # the providers are asked every 2 s; a busy machine takes longer
UNITS = 6


def rows(data: Path, query: str) -> list[Row]:
    """Read past the server."""
    with sqlite3.connect(f"file:{data / 'liveserver.db'}?mode=ro", uri=True) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query)]


async def begun(shop: Shop, sale: Json, name: str, outcome: str) -> tuple[str, str]:
    """A guest's order with a started payment, and the guest's token."""
    token = (await shop.guest(name))["token"]
    order = await shop.call(
        "POST", f"/v1/flash-sales/{sale['id']}/reservations", token, {"quantity": 1},
        Idempotency_Key=f'"{name}"',
    )  # fmt: skip
    await shop.call("POST", f"/v1/orders/{order['id']}/pay", token, {"outcome": outcome})
    return order["id"], token


async def settled(data: Path) -> dict[str, str]:
    """The state of each payment by its id, once none is open."""
    until = time.monotonic() + SETTLED_SECONDS
    while True:
        states = {row["id"]: row["state"] for row in rows(data, "SELECT id, state FROM payments")}
        if "open" not in states.values():
            return states
        assert time.monotonic() < until, states
        await asyncio.sleep(0.1)


async def test_no_payment_of_an_order_that_ended_stays_open(demo: Server, tmp_path: Path) -> None:
    """Cancelled by its buyer, paid by another payment, voided; and the shop's own late messages."""
    async with Shop(demo.base) as shop:
        merchant = await shop.sign_in("merchant", "demo")
        kept = await shop.start_sale(merchant, "demo", "demo-1", UNITS, duration_seconds=600)
        gone = await shop.start_sale(merchant, "demo", "demo-2", UNITS, duration_seconds=600)
        never, token = await begun(shop, kept, "never", "timeout")
        await shop.call("POST", f"/v1/orders/{never}/cancel", token)
        left, token = await begun(shop, kept, "left", "late")
        await shop.call("POST", f"/v1/orders/{left}/cancel", token)
        twice, token = await begun(shop, kept, "twice", "late")
        assert (await shop.call("POST", f"/v1/orders/{twice}/pay", token))["state"] == "paid"
        voided, token = await begun(shop, gone, "voided", "late")
        path = f"/v1/flash-sales/{gone['id']}/cancel"
        await shop.call("POST", path, merchant, {"orders": "void"})
        with Journal(tmp_path / "told.jsonl") as journal:
            waves = Waves(shop, journal, seed=1)
            waves.merchant = merchant
            teller = LatePayers(waves, 0)
            await teller.prepare()
            order = await shop.call("GET", f"/v1/orders/{voided}", token)
            await teller.tell(order, "paper", copies=2)
            await teller.tell(order, "wrong", too_much=1)
            await teller.tell(order, "forged", is_forged=True)
        assert [line["status"] for line in read(journal.path)] == [204, 204, 204, 401]

        assert await settled(demo.data) == {
            f"demo_timeout_{never}": "closed",
            f"demo_late_{left}": "captured",  # a new order: the units are there
            f"demo_late_{twice}": "returned",
            f"demo_{twice}": "captured",
            f"demo_late_{voided}": "returned",
            "paper": "returned",
            "wrong": "returned",
        }
        back = Counter(
            row["payment_id"] for row in rows(demo.data, "SELECT payment_id FROM refunds")
        )
        assert back == Counter([f"demo_late_{twice}", f"demo_late_{voided}", "paper", "wrong"])
        states = rows(demo.data, "SELECT state, space FROM orders ORDER BY state")
        assert Counter(row["state"] for row in states) == {"cancelled": 3, "paid": 2}
