"""Sales and orders as buyers see them: the flash card, the sheets, the list of orders."""

import asyncio
import sqlite3
from contextlib import suppress
from typing import Any

from aiohttp import ClientResponseError
from playwright.async_api import Page, Route, expect

from tests.browser.causes import cause
from tests.browser.stand import Eyes, Stand, cut, token_of

#: of a sale whose hold ends while somebody looks: long enough to line up before the first one does
HOLD_SECONDS = 10
SHOW_ROOM = """([room, lang, elder]) => {
  const element = document.querySelector("live-room");
  element.setAttribute("lang", lang);
  element.toggleAttribute("elder", elder);
  element.setAttribute("room", room);
}"""


def card(page: Page) -> Any:
    return page.get_by_test_id("flash-card").first


async def on_stage(eyes: Eyes, room: str, phase: str) -> Page:
    page = await eyes.enter(room)
    await expect(card(page)).to_have_attribute("data-phase", phase, timeout=30_000)
    return page


@cause("room", "sale-upcoming")
async def upcoming(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room()
    await stand.sale(room, countdown_seconds=290)
    return await on_stage(eyes, room, "upcoming")


@cause("room", "sale-open")
async def open_sale(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room()
    await stand.sale(room)
    return await on_stage(eyes, room, "open")


@cause("room", "sale-sold-out")
async def sold_out(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room()
    await stand.reserve(await stand.sale(room, 1), await stand.guest())
    return await on_stage(eyes, room, "sold_out")


@cause("room", "sale-ended")
async def sale_ended(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room()
    await stand.sale(room, duration_seconds=1)
    return await on_stage(eyes, room, "ended")


@cause("room", "sale-cancelled")
async def sale_cancelled(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room()
    sale = await stand.sale(room)
    await stand.call("POST", f"/v1/flash-sales/{sale}/cancel", "merchant", orders="void")
    return await on_stage(eyes, room, "cancelled")


async def holding(stand: Stand, eyes: Eyes) -> tuple[Page, dict[str, Any]]:
    """A viewer whose unit of a sale is held."""
    room = await stand.room()
    sale = await stand.sale(room)
    page = await eyes.enter(room)
    order = await stand.reserve(sale, await token_of(page))
    await expect(card(page).get_by_test_id("order-button")).to_be_visible()
    return page, order


@cause("room", "held-for-me")
async def held(stand: Stand, eyes: Eyes) -> Page:
    return (await holding(stand, eyes))[0]


@cause("room", "mine")
async def mine(stand: Stand, eyes: Eyes) -> Page:
    page, order = await holding(stand, eyes)
    await stand.api.call("POST", f"/v1/orders/{order['id']}/pay", await token_of(page), {})
    return page


async def in_line(stand: Stand, eyes: Eyes, **more: Any) -> tuple[Page, dict[str, Any], str]:
    """A viewer who stands in line, the order they wait for, and its buyer."""
    room = await stand.room()
    sale = await stand.sale(room, 1, **more)
    other = await stand.guest()
    order = await stand.reserve(sale, other)
    page = await on_stage(eyes, room, "sold_out")
    await card(page).get_by_test_id("waitlist-join").click()
    await expect(card(page).get_by_test_id("waitlist-position")).to_be_visible()
    return page, order, other


@cause("room", "in-line")
async def waiting(stand: Stand, eyes: Eyes) -> Page:
    return (await in_line(stand, eyes))[0]


@cause("room", "my-turn")
async def my_turn(stand: Stand, eyes: Eyes) -> Page:
    page, order, other = await in_line(stand, eyes)
    await stand.api.call("POST", f"/v1/orders/{order['id']}/cancel", other)
    await expect(card(page).get_by_test_id("order-button")).to_be_visible()
    return page


async def line_up(stand: Stand, sale: str) -> str:
    """Somebody at the end of the line; their token."""
    token = await stand.guest()
    path = f"/v1/flash-sales/{sale}/waitlist"
    stand.count += 1
    key = f"line-{stand.count}"
    await stand.api.call("POST", path, token, {"quantity": 1}, Idempotency_Key=key)
    return token


async def pay_at_turn(stand: Stand, sale: str, token: str) -> None:
    """Pays what the line offers to this person, once it does."""
    async with asyncio.timeout(60):
        while True:
            place = await stand.api.call("GET", f"/v1/flash-sales/{sale}/waitlist", token)
            if place["order"]:
                break
            await asyncio.sleep(0.2)
    await stand.api.call("POST", f"/v1/orders/{place['order']}/pay", token, {})


@cause("room", "turn-missed")
async def turn_missed(stand: Stand, eyes: Eyes) -> Page:
    """The hold of what was offered ends by its own timer; the next in line gets it and pays."""
    page, order, other = await in_line(stand, eyes, hold_seconds=HOLD_SECONDS)
    behind = await line_up(stand, str(order["flash_sale"]))
    with suppress(ClientResponseError):  # a slow machine: it has expired by itself
        await stand.api.call("POST", f"/v1/orders/{order['id']}/cancel", other)
    await expect(card(page).get_by_test_id("order-button")).to_be_visible()
    await pay_at_turn(stand, str(order["flash_sale"]), behind)
    await expect(card(page).get_by_test_id("waitlist-join")).to_be_visible()
    return page


@cause("room", "passed-in-line")
async def passed(stand: Stand, eyes: Eyes) -> Page:
    """Given back without going on sale again, a unit still counts; then the limit is lowered."""
    room = await stand.room()
    sale = await stand.sale(room, 2, per_buyer_limit=2)
    page = await eyes.enter(room)
    token, other = await token_of(page), await stand.guest()
    mine = await stand.reserve(sale, token)
    theirs = await stand.reserve(sale, other)
    await stand.api.call("POST", f"/v1/orders/{mine['id']}/pay", token, {})
    await stand.call("POST", f"/v1/orders/{mine['id']}/refund", "merchant", reason="gift")
    await card(page).get_by_test_id("waitlist-join").click()
    place = card(page).get_by_test_id("waitlist-position")
    await expect(place).to_be_visible()
    behind = await line_up(stand, sale)
    await stand.call("PATCH", f"/v1/flash-sales/{sale}", "merchant", per_buyer_limit=1)
    await stand.api.call("POST", f"/v1/orders/{theirs['id']}/cancel", other)
    await pay_at_turn(stand, sale, behind)  # sold out again, or the card would say "buy"
    await expect(place).to_have_count(0, timeout=30_000)  # the page looks after 8 to 14 s
    return page


@cause("room", "product")
async def product(stand: Stand, eyes: Eyes) -> Page:
    page = await eyes.enter(await stand.room())
    await page.get_by_test_id("pinned-card").click()
    await expect(page.get_by_test_id("buy-confirm")).to_be_enabled()
    return page


async def sheet(stand: Stand, eyes: Eyes, **more: Any) -> tuple[Page, str, str]:
    """The sheet of a running sale, the sale, its room."""
    room = await stand.room()
    sale = await stand.sale(room, **more)
    page = await on_stage(eyes, room, "open")
    await card(page).get_by_test_id("buy-button").click()
    await expect(page.get_by_test_id("buy-sheet")).to_be_visible()
    return page, sale, room


@cause("room", "buy-sheet")
async def buy_sheet(stand: Stand, eyes: Eyes) -> Page:
    return (await sheet(stand, eyes))[0]


@cause("room", "buy-signed-out")
async def signed_out(stand: Stand, eyes: Eyes) -> Page:
    return (await sheet(stand, eyes, buyers="account"))[0]


@cause("room", "embedded", brief=True)
async def embedded(stand: Stand, eyes: Eyes) -> Page:
    """The example's own page, with another room in its element."""
    room = await stand.room()
    await stand.sale(room, buyers="account")
    page = await eyes.person()
    await page.goto(stand.front.origin)
    await page.evaluate(SHOW_ROOM, [room, eyes.language, eyes.elder])
    frame = page.frame_locator("live-room iframe")
    await frame.get_by_test_id("flash-card").first.get_by_test_id("buy-button").click()
    await frame.get_by_test_id("buy-login").click()
    await expect(frame.get_by_test_id("toast").first).to_be_visible()
    return page


@cause("room", "bought")
async def bought(stand: Stand, eyes: Eyes) -> Page:
    page, _, _ = await sheet(stand, eyes)
    await page.get_by_test_id("buy-confirm").click()
    await expect(page.get_by_test_id("order-card")).to_be_visible()
    return page


@cause("room", "bought-and-paid")
async def paid(stand: Stand, eyes: Eyes) -> Page:
    page = await bought(stand, eyes)
    await page.get_by_test_id("order-pay").click()
    await expect(page.get_by_test_id("order-card")).to_have_attribute("data-state", "paid")
    return page


@cause("room", "buy-limit")
async def limit(stand: Stand, eyes: Eyes) -> Page:
    page, sale, _ = await sheet(stand, eyes)
    await stand.reserve(sale, await token_of(page))
    await page.get_by_test_id("buy-confirm").click()
    await expect(page.get_by_test_id("buy-problem")).to_be_visible()
    return page


@cause("room", "buy-sold-out")
async def too_late(stand: Stand, eyes: Eyes) -> Page:
    """The press leaves before the news of the end arrives: the page's socket is held."""
    page, sale, _ = await sheet(stand, eyes, units=1)
    reached = asyncio.Event()

    async def slowly(route: Route) -> None:
        reached.set()
        await stand.reserve(sale, await stand.guest())
        await route.continue_()

    await page.route("**/reservations", slowly)
    await page.evaluate("() => { WebSocket.prototype.send = function () { this.close(); }; }")
    await page.context.set_offline(False)
    await page.get_by_test_id("buy-confirm").click()
    await expect(page.get_by_test_id("buy-problem")).to_be_visible(timeout=30_000)
    return page


@cause("room", "price-changed")
async def price_changed(stand: Stand, eyes: Eyes) -> Page:
    page = await eyes.enter(await stand.room())
    await page.get_by_test_id("pinned-card").click()
    await expect(page.get_by_test_id("buy-confirm")).to_be_enabled()
    known = await stand.products()
    path = f"/v1/products/{known['demo-1']}"
    before = (await stand.call("GET", path))["price_cents"]
    await stand.call("PATCH", path, "merchant", price_cents=before + 100)
    await expect(page.get_by_test_id("buy-problem")).to_be_visible()
    await stand.call("PATCH", path, "merchant", price_cents=before)
    return page


@cause("room", "resume-refused", brief=True)
async def resume_refused(stand: Stand, eyes: Eyes) -> Page:
    """A press of before was never answered, and its sale is over now."""
    page = await unanswered(stand, eyes)
    await page.reload()
    await expect(page.get_by_test_id("toast").first).to_be_visible()
    return page


async def unanswered(stand: Stand, eyes: Eyes) -> Page:
    """A press whose request never reached the server; then the sale is stopped."""
    page, sale, _ = await sheet(stand, eyes)
    await page.evaluate("() => { WebSocket.prototype.send = function () { this.close(); }; }")
    await cut("**/reservations")(page)
    await page.get_by_test_id("buy-confirm").click()
    await expect(page.get_by_test_id("buy-problem")).to_be_visible(timeout=30_000)
    await stand.call("POST", f"/v1/flash-sales/{sale}/cancel", "merchant", orders="honour")
    await page.unroute("**/reservations")
    return page


@cause("orders", "none")
async def no_orders(_: Stand, eyes: Eyes) -> Page:
    return await eyes.see("/orders")


@cause("orders", "failed")
async def orders_failed(_: Stand, eyes: Eyes) -> Page:
    page = await eyes.see("/rooms/demo")
    await cut("**/v1/orders?*")(page)
    await page.goto("/orders")
    await expect(page.get_by_test_id("failure")).to_be_visible()
    return page


@cause("orders", "resume-refused")
async def orders_refused(stand: Stand, eyes: Eyes) -> Page:
    page = await unanswered(stand, eyes)
    await page.goto("/orders")
    await expect(page.get_by_test_id("failure")).to_be_visible()
    return page


async def one_order(stand: Stand, eyes: Eyes) -> tuple[Page, str, str]:
    """A guest's page, their unpaid order, their token."""
    page = await eyes.see("/rooms/demo")
    token = await token_of(page)
    return page, str((await stand.order(token))["id"]), token


async def listed(page: Page, state: str) -> Page:
    await page.goto("/orders")
    shown = page.get_by_test_id("order-card")
    await expect(shown).to_have_attribute("data-state", state, timeout=20_000)
    return page


@cause("orders", "reserved")
async def reserved(stand: Stand, eyes: Eyes) -> Page:
    page, _, _ = await one_order(stand, eyes)
    return await listed(page, "reserved")


@cause("orders", "cancelled")
async def cancelled(stand: Stand, eyes: Eyes) -> Page:
    page, order, token = await one_order(stand, eyes)
    await stand.api.call("POST", f"/v1/orders/{order}/cancel", token)
    return await listed(page, "cancelled")


@cause("orders", "expired")
async def order_expired(stand: Stand, eyes: Eyes) -> Page:
    page = await eyes.see("/rooms/demo")
    sale = await stand.sale(await stand.room(), hold_seconds=30)
    order = await stand.reserve(sale, await token_of(page))
    by_hand(stand, "expires_at = 1000", order["id"])
    await asyncio.to_thread(stand.kill_workers)
    await asyncio.sleep(1)
    async with asyncio.timeout(60):
        while True:
            try:
                now = await stand.api.call("GET", f"/v1/orders/{order['id']}", await token_of(page))
            except OSError:
                now = {}
            if now.get("state") == "expired":
                break
            await asyncio.sleep(0.5)
    return await listed(page, "expired")


async def went(stand: Stand, eyes: Eyes, *steps: str) -> Page:
    """An order that took these steps."""
    page, order, token = await one_order(stand, eyes)
    await stand.api.call("POST", f"/v1/orders/{order}/pay", token, {})
    bodies = {
        "ship": {"carrier": "顺丰 SF", "tracking": "SF1234567890"},
        "refund": {"reason": "变质了 Spoiled"},
    }
    for step in steps:
        await stand.call("POST", f"/v1/orders/{order}/{step}", "merchant", **bodies.get(step, {}))
    states = {"ship": "shipped", "complete": "completed", "refund": "refunded"}
    return await listed(page, states[steps[-1]] if steps else "paid")


@cause("orders", "paid")
async def order_paid(stand: Stand, eyes: Eyes) -> Page:
    return await went(stand, eyes)


@cause("orders", "shipped")
async def shipped(stand: Stand, eyes: Eyes) -> Page:
    return await went(stand, eyes, "ship")


@cause("orders", "completed")
async def completed(stand: Stand, eyes: Eyes) -> Page:
    return await went(stand, eyes, "ship", "complete")


@cause("orders", "refunded")
async def refunded(stand: Stand, eyes: Eyes) -> Page:
    return await went(stand, eyes, "refund")


def by_hand(stand: Stand, change: str, order: str) -> None:
    """What no payment provider of today does, or what takes long: written into the database."""
    file = next(stand.server.data.glob("*.db"))
    with sqlite3.connect(file, timeout=10) as database:
        database.execute(f"UPDATE orders SET {change} WHERE id = ?", (order,))
    database.close()


async def set_by_hand(stand: Stand, eyes: Eyes, state: str) -> Page:
    page, order, _ = await one_order(stand, eyes)
    by_hand(stand, f"""state = '{state}', changes = '{{"state":"{state}"}}'""", order)
    return await listed(page, state)


@cause("orders", "pending-payment")
async def pending(stand: Stand, eyes: Eyes) -> Page:
    return await set_by_hand(stand, eyes, "pending_payment")


@cause("orders", "payment-unknown")
async def unknown(stand: Stand, eyes: Eyes) -> Page:
    return await set_by_hand(stand, eyes, "payment_unknown")


@cause("orders", "refunding")
async def refunding(stand: Stand, eyes: Eyes) -> Page:
    return await set_by_hand(stand, eyes, "refunding")


@cause("orders", "replacing")
async def replacing(stand: Stand, eyes: Eyes) -> Page:
    """Cancelled, then paid after all: the shop's mark makes a new order in its place."""
    page, order, token = await one_order(stand, eyes)
    await stand.api.call("POST", f"/v1/orders/{order}/cancel", token)
    await stand.call("POST", f"/v1/orders/{order}/mark-paid", "merchant", reference=order)
    await page.goto("/orders")
    await expect(page.locator("order-card[data-state=paid]")).to_be_visible()
    return page
