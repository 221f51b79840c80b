"""Shows over HTTP: who may read what, lists in pages, files, the report."""

import asyncio
import json
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator

import pytest

from liveserver.archive.recorder import Recorder
from rooms.bus_redis import RedisBus
from rooms.room import Speaker
from tests.web.shop import Shop, wall_ms

WHO = Speaker(id="u1", name="Li")


@pytest.fixture
async def recorder(shop: Shop, redis_url: str, unique: str) -> AsyncIterator[Recorder]:
    bus = RedisBus(redis_url, f"archive-{unique}")

    made = Recorder(bus, shop.services.archive, shows=shop.services.archive.lately, now=wall_ms)
    await bus.start()
    yield made
    await bus.close()


async def write(work: Recorder) -> None:
    await work.look()
    await asyncio.sleep(0.1)  # danmaku leave with the tick
    await work.look()
    await work.flush()


async def show_of(shop: Shop, room: str) -> str:
    found = await shop.json("GET", f"/v1/rooms/{room}/shows")
    return str(found["items"][0]["id"])


async def speak(shop: Shop, room: str) -> None:
    rooms = shop.services.rooms
    for n in range(3):
        await rooms.say(room, WHO, b"", json.dumps({"text": f"text {n}"}).encode())
    await rooms.throw(room, WHO, b"", json.dumps({"text": "<飞>", "mode": "top"}).encode())


async def test_a_show_is_open_when_it_is_over(shop: Shop, room: str, recorder: Recorder) -> None:
    """While it runs its archive is for staff; then for everybody, unless the room is closed."""
    await write(recorder)
    await speak(shop, room)
    await write(recorder)
    show, path = await show_of(shop, room), f"/v1/rooms/{room}"
    staff = shop.token("streamer", rooms=(room,))
    events = f"/v1/shows/{show}/events"
    await shop.json("GET", events, status=401)
    await shop.json("GET", events, shop.token(), status=403)
    await shop.json("GET", events, shop.token("streamer", rooms=("other",)), status=403)
    assert len((await shop.json("GET", events, staff))["items"]) >= 5
    await shop.json("POST", f"{path}/end", staff)
    await write(recorder)
    assert (await shop.json("GET", events))["items"]
    await shop.json("PUT", f"{path}/archive", staff, json={"open": False})
    await shop.json("GET", events, status=401)
    assert (await shop.json("GET", f"/v1/shows/{show}"))["open"] is False
    await shop.json("GET", events, staff)


async def test_events_come_in_pages_and_by_channel(
    shop: Shop, room: str, recorder: Recorder
) -> None:
    await write(recorder)
    await speak(shop, room)
    await write(recorder)
    staff = shop.token("streamer", rooms=(room,))
    path, seen, cursor = f"/v1/shows/{await show_of(shop, room)}/events", [], ""
    for _ in range(10):
        more = f"&cursor={cursor}" if cursor else ""
        page = await shop.json("GET", f"{path}?channel=chat&limit=2{more}", staff)
        seen += [item["event"]["text"] for item in page["items"]]
        cursor = page["next_cursor"] or ""
        if not cursor:
            break
    assert seen == ["text 0", "text 1", "text 2"]
    none = await shop.json("GET", f"{path}?to=1000", staff)
    assert none["items"] == []
    await shop.json("GET", f"{path}?cursor=abc", staff, status=422)
    await shop.json("GET", f"{path}?channel=console", staff, status=422)
    await shop.json("GET", "/v1/shows/shw_unknown/events", staff, status=404)


async def test_files_can_be_read_by_what_reads_such_files(
    shop: Shop, room: str, recorder: Recorder
) -> None:
    await write(recorder)
    await speak(shop, room)
    await write(recorder)
    staff = shop.token("streamer", rooms=(room,))
    show = await show_of(shop, room)
    async with shop.call("GET", f"/v1/shows/{show}/export.xml", staff) as answer:
        assert answer.content_type == "application/xml"
        (item,) = ET.fromstring(await answer.text()).findall("d")
        assert item.text == "<飞>" and item.get("p", "").split(",")[1] == "5"
    async with shop.call("GET", f"/v1/shows/{show}/export.ass", staff) as answer:
        assert "\\an8" in await answer.text()
    async with shop.call("GET", f"/v1/shows/{show}/export.jsonl", staff) as answer:
        lines = [json.loads(line) for line in (await answer.text()).splitlines()]
        assert {line["event"]["type"] for line in lines} >= {"chat", "danmaku", "room.started"}
    async with shop.call("GET", f"/v1/shows/{show}/export.pdf", staff) as answer:
        assert answer.status == 404


async def test_the_report_counts_what_was_said_and_sold(
    shop: Shop, room: str, recorder: Recorder
) -> None:
    await write(recorder)
    await speak(shop, room)
    sale = await shop.sale(room, buyers="guest")
    order = await shop.order(sale, shop.token(user="buyer"))
    await shop.order(sale, shop.token(user="other"), key="k2")
    await shop.json("POST", f"/v1/orders/{order['id']}/pay", shop.token(user="buyer"))
    await write(recorder)
    path = f"/v1/shows/{await show_of(shop, room)}/report"
    await shop.json("GET", path, shop.token(), status=403)
    report = await shop.json("GET", path, shop.token("streamer", rooms=(room,)))
    assert (report["messages"], report["danmaku"], report["deleted"]) == (3, 1, 0)
    (sums,) = report["turnover"]
    assert (sums["placed_cents"], sums["paid_cents"], sums["refunded_cents"]) == (1800, 900, 0)
    assert report["orders"] == {"paid": 1, "reserved": 1}
    assert report["shipments_waiting"] == 1
    assert report["gaps"] == 0
