"""From the writer's commit to the merchant's server, with nothing left out."""

import asyncio
import json
from collections import defaultdict

from orders.feed_sql import SqlFeed
from orders.requests import Cancel, Note, Pay
from orders.webhooks_sql import metadata
from tests.orders.shop import open_shop
from tests.webhooks.parts import Make, Receiver, until


async def test_every_committed_event_arrives_exactly_once(
    database_url: str, make: Make, receiver: Receiver
) -> None:
    """With the order as it was at that step, and a sequence that tells the steps apart."""
    async with open_shop(database_url) as (shop, engine):
        async with engine.begin() as sql:
            await sql.run_sync(metadata.create_all)
        feed = SqlFeed(engine)
        webhooks = make(receiver, feed=feed)
        await webhooks.create("acme", receiver.url)
        running = asyncio.create_task(webhooks.run())

        await shop.product()
        sale = await shop.sale(units=5)
        orders = [await shop.reserve(sale, f"buyer{number}") for number in range(5)]
        for order in orders[:3]:
            await shop.ask(Pay(order=order.id, provider="demo", payment=f"pay{order.id}"))
        await shop.ask(Cancel(order=orders[3].id, actor="buyer3"))
        room = {"room": {"id": "demo"}}
        await shop.writer.ask(Note(event="room.ended", merchants=["acme", "other"], data=room))

        webhooks.wake()
        events = await feed.after(0, 1_000)
        mine = [event for event in events if event.merchant == "acme"]
        await until(lambda: len(receiver.requests) >= len(mine))
        running.cancel()
        await asyncio.wait([running])

    bodies = [json.loads(body) for _, body in receiver.requests]
    assert len(set(receiver.ids)) == len(receiver.ids) == len(mine)
    assert sorted(body["type"] for body in bodies) == sorted(event.type for event in mine)
    assert {"order.reserved", "order.paid", "order.cancelled", "room.ended"} <= {
        body["type"] for body in bodies
    }
    steps = defaultdict(list)
    for body in sorted(bodies, key=lambda body: body["data"].get("order", {}).get("sequence", 0)):
        if "order" in body["data"]:
            steps[body["data"]["order"]["id"]].append(body["data"]["order"]["state"])
    paid, cancelled, open_ = ["reserved", "paid"], ["reserved", "cancelled"], ["reserved"]
    assert [steps[order.id] for order in orders] == [paid, paid, paid, cancelled, open_]


async def test_an_end_in_the_moment_of_news_is_not_lost(make: Make, receiver: Receiver) -> None:
    """A round that was just woken ends as well: `asyncio.wait_for` of 3.11 would go on."""
    service = make(receiver)
    wake = asyncio.Event()

    async def step() -> None:
        """Nothing to do."""

    round_ = asyncio.create_task(service._forever(step, wake, 60))
    for _ in range(3):
        await asyncio.sleep(0)  # until it waits
    wake.set()
    await asyncio.sleep(0)  # the wait is over, and it has not gone on yet
    round_.cancel()
    done, _ = await asyncio.wait({round_}, timeout=5)
    assert round_ in done and round_.cancelled()
