"""Reads and the feed: what the writer committed, in the contract's shapes."""

import msgspec

from orders.feed_sql import SqlFeed
from orders.reads_sql import Reads
from orders.requests import Cancel, CancelSale, Note, Pay, SetGrant
from tests.orders.shop import open_shop, reserve


async def test_everything_can_be_read_back_as_it_was_answered(database_url: str) -> None:
    async with open_shop(database_url) as (shop, engine):
        reads = Reads(engine)
        product = await shop.product()
        assert await reads.product(product.id) == product
        assert await reads.product("none") is None
        granted = await shop.ask(SetGrant(product=product.id, room="demo", units_max=50))
        assert msgspec.to_builtins(await reads.grants(product.id)) == [granted]
        assert [p.id for p in await reads.granted_products("demo")] == [product.id]
        sale = await shop.sale(units=3)
        assert await reads.flash_sale(sale.id) == sale
        answer = await shop.writer.ask(reserve(sale, "ann", "k1", metadata={"a": [1, None]}))
        order = await reads.order_by_key("ann", "client", "k1")
        assert order is not None
        assert msgspec.json.encode(order) == answer
        paid = await shop.ask(Pay(order=order.id, provider="demo", payment="p", actor="ann"))
        assert msgspec.to_builtins(await reads.order(order.id)) == paid
        assert await reads.answer_by_key("ann", "client", "k1") == (f"{sale.id}|1", answer)
        history = await reads.order_history(order.id)
        assert [edge.state for edge in history] == ["reserved", "pending_payment", "paid"]
        assert [edge.from_state for edge in history] == [None, "reserved", "pending_payment"]
        sold = await reads.flash_sale(sale.id)
        assert sold is not None and sold.units_left == 2 and sold.version > sale.version


async def test_lists_come_in_pages_without_gaps(database_url: str) -> None:
    async with open_shop(database_url) as (shop, engine):
        reads = Reads(engine)
        for n in range(5):
            shop.clock.advance(1)
            await shop.product(sku=f"s{n}")
        sale = await shop.sale(sku="s0", units=9, per_buyer_limit=9)
        made = []
        for n in range(5):
            shop.clock.advance(1)
            made.append((await shop.reserve(sale, "ann", f"k{n}")).id)
        skus, orders, cursor = [], [], None
        while True:
            page, cursor = await reads.products_of("acme", cursor, 2)
            skus += [product.sku for product in page]
            if cursor is None:
                break
        assert skus == [f"s{n}" for n in range(5)]
        while True:
            found, cursor = await reads.orders_of_buyer("ann", cursor, 2)
            orders += [order.id for order in found]
            if cursor is None:
                break
        assert orders == made[::-1]
        assert len((await reads.orders_of_merchant("acme"))[0]) == 5
        assert (await reads.orders_of_buyer("bob"))[0] == []


async def test_a_room_shows_its_open_sales_and_those_that_ended_within_the_hour(
    database_url: str,
) -> None:
    async with open_shop(database_url) as (shop, engine):
        reads = Reads(engine)
        await shop.product()
        old = await shop.sale(units=1, duration_seconds=10)
        shop.clock.advance(3_600_000)
        new = await shop.sale(units=1)
        shown = {sale.id: sale.state for sale in await reads.sales_of_room("demo")}
        assert shown == {old.id: "ended", new.id: "running"}
        shop.clock.advance(11_000)
        await shop.product(sku="other")
        assert [sale.id for sale in await reads.sales_of_room("demo")] == [new.id]


async def test_the_feed_tells_every_event_once_in_commit_order(database_url: str) -> None:
    async with open_shop(database_url) as (shop, engine):
        feed = SqlFeed(engine)
        assert await feed.last() == 0
        await shop.product()
        sale = await shop.sale(units=2, hold_seconds=10)
        first = await shop.reserve(sale, "ann")
        second = await shop.reserve(sale, "bob")
        await shop.ask(Pay(order=first.id, provider="demo", payment="p", actor="ann"))
        await shop.ask(Cancel(order=second.id, actor="bob"))
        await shop.ask(CancelSale(flash_sale=sale.id, orders="honour"))
        room = {"room": {"id": "demo", "state": "ended"}}
        await shop.ask(Note(event="room.ended", merchants=["acme", "other"], data=room))
        events, n = [], 0
        while part := await feed.after(n, 2):
            events += part
            n = part[-1].n
        assert [event.type for event in events] == [
            "order.reserved", "order.reserved", "stock.sold_out", "order.paid",
            "order.cancelled", "flash_sale.ended", "room.ended", "room.ended",
        ]  # fmt: skip
        assert await feed.last() == n
        assert [event.merchant for event in events] == ["acme"] * 7 + ["other"]
        paid = msgspec.json.decode(events[3].data)["order"]
        assert (paid["id"], paid["state"], paid["sequence"]) == (first.id, "paid", 3)
        assert (events[3].buyer, events[3].room) == ("ann", "demo")
        assert msgspec.json.decode(events[2].data)["flash_sale"]["units_left"] == 0
        assert msgspec.json.decode(events[7].data) == room
