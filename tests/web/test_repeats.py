"""Staff repeat what got no answer: with a locked database, by HTTP, nothing is done twice."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.engine import make_url

from tests.web.shop import Shop

LOCK_SECONDS = 3.5  # longer than a waiter waits, shorter than a client


@contextmanager
def locked(database_url: str) -> Iterator[None]:
    """Another program writes to the file, and takes its time."""
    connection = sqlite3.connect(str(make_url(database_url).database), isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


async def said(shop: Shop, path: str, token: str, body: Any, key: str = "") -> tuple[int, Any]:
    """Status and body of a POST."""
    headers = {"Idempotency-Key": key} if key else {}
    async with shop.call("POST", path, token, json=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def paid_order(shop: Shop, product: dict[str, Any]) -> str:
    buyer = shop.token("viewer", "ann")
    body = {"lines": [{"product_id": product["id"], "quantity": 5}]}
    headers = {"Idempotency-Key": "buy"}
    order = await shop.json("POST", "/v1/orders", buyer, json=body, headers=headers, status=201)
    await shop.json("POST", f"/v1/orders/{order['id']}/pay", buyer)
    return str(order["id"])


async def test_what_a_locked_database_did_not_answer_is_done_once_when_repeated(
    shop: Shop, room: str, sqlite_url: str
) -> None:
    """
    Without a key: told that it was not done, which stays true. With a key: the same wish again is
    done once, whatever became of the first.
    """
    merchant = shop.token("merchant", merchant="shop-a")
    plain, keyed, spare = [await shop.product(stock=10) for _ in range(3)]
    order = await paid_order(shop, spare)
    stock = {"delta": 5, "reason": "more"}
    sale = {"sku": spare["sku"], "price_cents": 900, "units": 2}
    wishes = [
        (f"/v1/products/{plain['id']}/stock", stock, ""),
        (f"/v1/products/{keyed['id']}/stock", stock, "k1"),
        (f"/v1/orders/{order}/refund", {"amount_cents": 1000, "reason": "late"}, ""),
        (f"/v1/rooms/{room}/flash-sales", sale, "k2"),
    ]
    with locked(sqlite_url):
        first = asyncio.gather(*(said(shop, path, merchant, *rest) for path, *rest in wishes))
        await asyncio.sleep(LOCK_SECONDS)
    problems = await first
    assert [status for status, _ in problems] == [503] * 4
    details = [problem["detail"] for _, problem in problems]
    assert ["not done" in detail for detail in details] == [True, False, True, False]
    assert ["same key" in detail for detail in details] == [False, True, False, True]
    answers = [await said(shop, path, merchant, *rest) for path, *rest in wishes]
    assert [status for status, _ in answers] == [200, 200, 200, 201]
    assert answers[0][1]["stock"] == 15
    assert answers[1][1]["stock"] == 15
    assert answers[2][1]["refunded_cents"] == 1000
    snapshot = await shop.json("GET", f"/v1/rooms/{room}")
    assert [one["id"] for one in snapshot["flash_sales"]] == [answers[3][1]["id"]]


async def test_a_key_answers_the_same_bytes_and_another_body_is_a_conflict(
    shop: Shop, room: str
) -> None:
    """Products, stock, grants, sales, coupons and refunds alike; a broken key is told at once."""
    merchant = shop.token("merchant", merchant="shop-a")
    wish = {"sku": "once", "title": "Cup", "price_cents": 1000, "currency": "EUR", "stock": 9}
    coupon = {
        "code": "five", "kind": "amount", "value": 500, "currency": "EUR", "budget_cents": 5000,
    }  # fmt: skip
    product = (await said(shop, "/v1/products", merchant, wish, "new"))[1]
    path = f"/v1/products/{product['id']}"
    order = await paid_order(shop, product)
    sale = {"sku": "once", "price_cents": 900, "units": 1}
    refund = {"amount_cents": 700, "reason": "x"}
    for number, (where, body, other) in enumerate([
        ("/v1/products", wish | {"sku": "two"}, wish | {"sku": "three"}),
        (f"{path}/stock", {"delta": 5, "reason": "x"}, {"delta": 6, "reason": "x"}),
        (f"/v1/rooms/{room}/flash-sales", sale, sale | {"units": 2}),
        ("/v1/coupons", coupon, coupon | {"value": 600}),
        (f"/v1/orders/{order}/refund", refund, refund | {"amount_cents": 800}),
    ]):  # fmt: skip
        done = await said(shop, where, merchant, body, f"k{number}")
        assert done[0] in (200, 201), done
        assert await said(shop, where, merchant, body, f'"k{number}"') == done
        status, problem = await said(shop, where, merchant, other, f"k{number}")
        assert (status, problem["type"]) == (422, "/problems/idempotency-conflict")
    status, problem = await said(shop, f"{path}/stock", merchant, {"delta": 1, "reason": "x"}, "ä")
    assert (status, problem["type"]) == (400, "/problems/validation")
