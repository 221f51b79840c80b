"""Refunds while the writer is killed: each is made once, and each is answered."""

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp

from loadtest.server import Server
from loadtest.shop import Json, Shop

ORDERS = 12
ANSWERED_SECONDS = 30.0  # after the kill; a successor is there in some ten on a busy machine
TRY_SECONDS = 0.3


def refunds_in_sql(data: Path) -> list[tuple[str, int]]:
    """(order, cents) of every refund, read past the server."""
    with sqlite3.connect(f"file:{data / 'liveserver.db'}?mode=ro", uri=True) as connection:
        return connection.execute(
            "SELECT order_id, amount_cents FROM refunds ORDER BY order_id"
        ).fetchall()


async def paid_orders(shop: Shop, merchant: str) -> list[Json]:
    sale = await shop.start_sale(merchant, "demo", "demo-1", ORDERS, duration_seconds=600)

    async def buy(number: int) -> Json:
        token = (await shop.guest(f"guest {number}"))["token"]
        order = await shop.call(
            "POST", f"/v1/flash-sales/{sale['id']}/reservations", token, {"quantity": 1},
            Idempotency_Key=f'"buy-{number}"',
        )  # fmt: skip
        return await shop.call("POST", f"/v1/orders/{order['id']}/pay", token, {})

    return list(await asyncio.gather(*map(buy, range(ORDERS))))


async def refund(shop: Shop, merchant: str, order: str) -> tuple[Json, int]:
    """Half of an order, repeated with its key as the answer 503 asks; and how often it was."""
    until = time.monotonic() + ANSWERED_SECONDS
    tries = 0
    while True:
        tries += 1
        try:
            path, key = f"/v1/orders/{order}/refund", f'"refund-{order}"'
            body = {"amount_cents": 50, "reason": "broken"}
            return await shop.call("POST", path, merchant, body, Idempotency_Key=key), tries
        except (aiohttp.ClientError, TimeoutError) as problem:
            status = getattr(problem, "status", 503)
            assert status in (503, 429), problem
            assert time.monotonic() < until, f"not answered: {problem}"
            await asyncio.sleep(TRY_SECONDS * random.uniform(0.5, 1.5))


async def test_refunds_are_answered_once_though_the_writer_is_killed(
    make_server: Callable[..., Server],
) -> None:
    """
    kill -9 of the writer's process with refunds on their way: repeated with their keys, all are
    made, none twice. Those that come when the successor is there need no repeating.
    """
    server = make_server("--demo", "--workers", "2")
    async with Shop(server.base) as shop:
        merchant = await shop.sign_in("merchant", "demo")
        orders = [order["id"] for order in await paid_orders(shop, merchant)]
        early, late = orders[: ORDERS // 2], orders[ORDERS // 2 :]
        (writer,) = [p for p in server.workers() if p.cmdline()[-1].startswith("orders-")]
        asked = [asyncio.create_task(refund(shop, merchant, order)) for order in early]
        writer.kill()
        answers = [answer for answer, _tries in await asyncio.gather(*asked)]
        told = [await refund(shop, merchant, order) for order in late]
        assert sum(tries for _answer, tries in told) < 2 * len(late)  # no lasting 503
        answers += [answer for answer, _tries in told]
        again = [(await refund(shop, merchant, order))[0] for order in orders]
    assert [answer["refunded_cents"] for answer in answers] == [50] * ORDERS
    assert again == answers
    assert refunds_in_sql(server.data) == [(order, 50) for order in sorted(orders)]
