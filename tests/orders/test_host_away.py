"""Sales that pause while their host is away: when they do, what they keep, and how they go on."""

from typing import Any

import pytest

from liveserver.host_watch import HostWatch, needed
from orders.audit_sql import audit
from orders.errors import Ended, Invalid, NotStarted, WrongState
from orders.requests import EditSale, HostBack, HostLeft, JoinWaitlist, Note
from orders.sale import MAX_PAUSE_SECONDS
from orders.shapes import FlashSale
from orders.times import rfc3339
from tests.orders.shop import START, Shop, open_shop
from tests.orders.test_states import row

NOTHING = Note(event="tick", merchants=[], data={})
MOST_MS = MAX_PAUSE_SECONDS * 1000


async def sold(shop: Shop, **fields: Any) -> FlashSale:
    await shop.product()
    return await shop.sale(duration_seconds=60, **fields)


async def test_a_sale_pauses_and_goes_on_with_the_time_it_had(database_url: str) -> None:
    """Nobody buys meanwhile, what was reserved stays, and repeating changes nothing."""
    async with open_shop(database_url) as (shop, engine):
        sale = await sold(shop, host_away="pause")
        first = await shop.reserve(sale, "ann")
        shop.clock.advance(20_000)
        paused = await shop.ask(HostLeft(flash_sale=sale.id))
        assert (paused["state"], paused["paused_at"]) == ("scheduled", rfc3339(START + 20_000))
        assert paused["starts_at"] == rfc3339(START + 20_000 + MOST_MS)
        shop.clock.advance(100_000)
        with pytest.raises(NotStarted, match="until the host is back"):
            await shop.reserve(sale, "bob")
        with pytest.raises(WrongState):
            await shop.ask(EditSale(flash_sale=sale.id, changes={"starts_at": START + 130_000}))
        assert await shop.reserve(sale, "ann") == first
        assert (await shop.ask(HostLeft(flash_sale=sale.id)))["paused_at"] == paused["paused_at"]
        back = await shop.ask(HostBack(flash_sale=sale.id))
        assert (back["state"], back["paused_at"]) == ("running", None)
        assert back["ends_at"] == rfc3339(START + 120_000 + 40_000)
        assert (await shop.ask(HostBack(flash_sale=sale.id)))["ends_at"] == back["ends_at"]
        shop.clock.advance(39_999)
        await shop.reserve(sale, "bob")
        shop.clock.advance(1)
        with pytest.raises(Ended):
            await shop.reserve(sale, "cid")
        assert await audit(engine) == []


async def test_a_host_who_never_comes_back_ends_the_sale(database_url: str) -> None:
    """After ten minutes its units are free again, and nothing of it stays open."""
    async with open_shop(database_url) as (shop, engine):
        sale = await sold(shop, host_away="pause")
        await shop.reserve(sale, "ann", quantity=1)
        await shop.ask(HostLeft(flash_sale=sale.id))
        shop.clock.advance(MOST_MS - 1)
        with pytest.raises(NotStarted):
            await shop.reserve(sale, "bob")
        shop.clock.advance(1)
        with pytest.raises(Ended):
            await shop.reserve(sale, "bob")
        (ended,) = [one for news in shop.news for one in news.sales if one.state == "ended"]
        assert (ended.paused_at, ended.ends_at) == (None, rfc3339(shop.clock.wall))
        assert shop.writer.open_sales() == []
        assert await audit(engine) == []


async def test_staff_can_let_a_paused_sale_go_on(sqlite_url: str) -> None:
    """An assistant sells on without the host, and what came back waits for nobody meanwhile."""
    async with open_shop(sqlite_url) as (shop, _engine):
        sale = await sold(shop, units=1, host_away="pause", hold_seconds=5)
        await shop.reserve(sale, "ann")
        line = {"buyer_name": "Bob", "guest": True, "quantity": 1, "key": "b", "actor": "bob"}
        await shop.ask(JoinWaitlist(flash_sale=sale.id, buyer="bob", **line))
        await shop.ask(HostLeft(flash_sale=sale.id))
        shop.clock.advance(6_000)  # Ann's hold is over
        await shop.ask(NOTHING)
        assert [one.left for one in shop.writer.open_sales()] == [1]
        with pytest.raises(Invalid):
            await shop.ask(EditSale(flash_sale=sale.id, changes={"host_away": "perhaps"}))
        on = await shop.ask(EditSale(flash_sale=sale.id, changes={"host_away": "go_on"}))
        assert (on["state"], on["units_left"]) == ("sold_out", 0)  # it is Bob's
        await shop.ask(HostLeft(flash_sale=sale.id))
        assert shop.writer.open_sales()[0].paused_at is None


async def test_the_watch_asks_for_what_differs(sqlite_url: str) -> None:
    """Only sales that were told to; a room without any picture changes nothing."""
    async with open_shop(sqlite_url) as (shop, _engine):
        pictures = Pictures()
        watch = HostWatch(shop.writer.open_sales, pictures, shop.writer)
        await shop.product()
        await shop.sale(duration_seconds=60)
        await watch.look()
        assert pictures.asked == 0
        pausing = await shop.sale(duration_seconds=60, host_away="pause")
        states = []
        for video in (None, {"state": "waiting"}, None, {"state": "live"}):
            pictures.video = video
            await watch.look()
            states.append({one.id: one.paused_at for one in shop.writer.open_sales()})
        paused = [one.pop(pausing.id) is not None for one in states]
        assert paused == [False, True, True, False]
        assert all(list(one.values()) == [None] for one in states)


class Pictures:
    """What rooms have on record."""

    def __init__(self) -> None:
        self.video: dict[str, Any] | None = None
        self.asked = 0

    async def rooms_with_video(self) -> dict[str, dict[str, Any]]:
        self.asked += 1
        return {} if self.video is None else {"demo": self.video}


def test_what_is_needed_depends_on_choice_state_and_picture() -> None:
    """A planned sale is left alone until it runs."""
    planned = {"state": "scheduled", "host_away": "pause"}
    assert needed(row(**planned), "waiting") is None
    assert needed(row(host_away="pause"), "live") is None
    assert needed(row(host_away="pause"), None) is None
    assert needed(row(host_away="go_on"), "waiting") is None
    assert needed(row(host_away="pause"), "waiting") == HostLeft(flash_sale="s")
    assert needed(row(**planned, paused_at=1), "live") == HostBack(flash_sale="s")
    assert needed(row(**planned, paused_at=1), "waiting") is None
