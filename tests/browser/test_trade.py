"""Buying from the shelf, and what the merchant does with orders, in a browser."""

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import FilePayload, Page, Route, WebSocketRoute, expect

from tests.browser.test_pages import axe

pytestmark = pytest.mark.browser

Visit = Callable[..., Awaitable[Page]]


async def test_a_product_of_the_shelf_is_bought_at_its_ordinary_price(visit: Visit) -> None:
    """Quantity, sum on the button, order with deadline; once paid, nobody asks to pay any more."""
    page = await visit("/rooms/demo", language="en", bypass_csp=True)
    await page.get_by_test_id("shelf-open").click()
    shelf = page.get_by_test_id("shelf-sheet")
    lamp = shelf.get_by_test_id("shelf-item").filter(has_text="Desk lamp")
    await lamp.get_by_test_id("shelf-more").click()
    sheet = page.get_by_test_id("product-sheet")
    await sheet.get_by_test_id("buy-more").click()
    await sheet.get_by_test_id("buy-more").click()
    await expect(sheet.get_by_test_id("buy-confirm")).to_have_text("Buy · ¥897.00")
    await sheet.get_by_test_id("coupon-open").click()
    await sheet.get_by_test_id("coupon-code").fill("NOPE")
    await sheet.get_by_test_id("buy-confirm").click()
    await expect(sheet.get_by_test_id("buy-problem")).to_contain_text("no such coupon")
    assert await axe(page) == []
    await sheet.get_by_test_id("coupon-code").fill("")
    await sheet.get_by_test_id("buy-confirm").click()
    order = sheet.get_by_test_id("order-card")
    await expect(order.get_by_test_id("order-amount")).to_have_text("¥897.00")
    await expect(order.get_by_test_id("order-deadline")).to_have_text(re.compile(r"1[45]:\d\d"))
    await order.get_by_test_id("order-pay").click()
    await expect(order).to_have_attribute("data-state", "paid")
    await expect(sheet.get_by_test_id("order-news")).to_have_text("Paid. Thank you!")


async def test_a_killed_page_finds_its_one_order_of_the_shelf_again(visit: Visit) -> None:
    """The answer never arrives and the page is gone; the next one asks with the same key."""
    page = await visit("/login", language="en")
    reached = asyncio.Event()

    async def cut(socket: WebSocketRoute) -> None:
        await socket.close(code=3000, reason="cut")  # so that the order goes by HTTP

    async def swallow(route: Route) -> None:
        if route.request.method != "POST":
            await route.continue_()
            return
        await route.fetch()  # the server has it; the page never hears
        reached.set()

    await page.route_web_socket("**/connection/websocket", cut)
    await page.route("**/v1/orders", swallow)
    await page.goto("/rooms/demo")
    await page.get_by_test_id("pinned-card").click()
    await page.get_by_test_id("buy-confirm").click()
    async with asyncio.timeout(15):
        await reached.wait()
    context = page.context
    await page.close()
    again = await context.new_page()
    await again.goto("/orders")
    await expect(again.get_by_test_id("order-card")).to_have_count(1)
    await expect(again.get_by_test_id("order-card")).to_have_attribute("data-state", "reserved")


async def bought(page: Page) -> str:
    """An unpaid order of the product being explained; its id."""
    await page.get_by_test_id("pinned-card").click()
    await page.get_by_test_id("buy-confirm").click()
    order = page.get_by_test_id("order-card")
    await expect(order).to_be_visible()
    return str(await order.get_attribute("data-order"))


async def test_the_desk_takes_an_order_from_payment_to_refund(visit: Visit) -> None:
    """Marked paid, shipped with its tracking, a part given back; the buyer reads each of it."""
    buyer = await visit("/rooms/demo", language="en")
    number = await bought(buyer)
    desk = await visit("/merchant#orders", user="merchant", language="en", bypass_csp=True)
    await desk.locator(f'[data-order="{number}"]').get_by_test_id("merchant-order-open").click()
    order = desk.get_by_test_id("desk-order")
    await order.get_by_test_id("mark-open").click()
    await order.get_by_test_id("mark-reference").fill("bank-1")
    await order.get_by_test_id("mark-save").click()
    await expect(order).to_have_attribute("data-state", "paid")
    await order.get_by_test_id("ship-carrier").fill("Swift Post")
    await order.get_by_test_id("ship-tracking").fill("SP 123")
    await order.get_by_test_id("ship-save").click()
    await expect(order).to_have_attribute("data-state", "shipped")
    await order.get_by_test_id("refund-open").click()
    await order.get_by_test_id("refund-amount").fill("29")
    await expect(order.get_by_test_id("refund-restock")).to_be_disabled()
    await order.get_by_test_id("refund-save").click()
    await desk.get_by_test_id("ask-yes").click()
    await expect(order.get_by_test_id("order-refunded")).to_contain_text("¥29.00")
    steps = order.get_by_test_id("history-row")
    await expect(steps).to_have_text([*[re.compile(".")] * 4, re.compile("Part refunded")])
    assert await axe(desk) == []
    await buyer.goto("/orders")
    mine = buyer.get_by_test_id("order-card")
    await expect(mine.get_by_test_id("order-shipment")).to_contain_text("SP 123")
    await expect(mine.get_by_test_id("order-refunded")).to_contain_text("¥29.00")
    await order.get_by_test_id("order-complete").click()
    await expect(mine).to_have_attribute("data-state", "completed")


async def test_a_coupon_is_made_used_and_stopped(visit: Visit) -> None:
    """What it takes off stands in the order; once stopped, the next buyer reads that it is over."""
    desk = await visit("/merchant#coupons", user="merchant", language="en", bypass_csp=True)
    await desk.get_by_test_id("coupon-new").click()
    assert await axe(desk) == []
    await desk.get_by_test_id("coupon-code-input").fill("SPRING")
    await desk.get_by_test_id("coupon-kind").select_option("percent")
    await desk.get_by_test_id("coupon-share").fill("10")
    await desk.get_by_test_id("coupon-budget").fill("100")
    await desk.get_by_test_id("coupon-save").click()
    row = desk.locator('[data-testid=coupon-row][data-code="SPRING"]')
    await expect(row).to_contain_text("10% off")
    await row.get_by_test_id("coupon-stop").scroll_into_view_if_needed()
    buyers = [await visit("/rooms/demo", language="en") for _ in range(2)]
    for buyer in buyers:
        await buyer.get_by_test_id("pinned-card").click()
        await buyer.get_by_test_id("coupon-open").click()
        await buyer.get_by_test_id("coupon-code").fill("SPRING")
    await buyers[0].get_by_test_id("buy-confirm").click()
    await expect(buyers[0].get_by_test_id("order-discount")).to_contain_text("SPRING")
    await row.get_by_test_id("coupon-stop").click()
    await desk.get_by_test_id("ask-yes").click()
    await expect(row).to_have_attribute("data-state", "over")
    await expect(desk.get_by_test_id("toast")).to_have_count(0)
    assert await axe(desk) == []
    await buyers[1].get_by_test_id("buy-confirm").click()
    await expect(buyers[1].get_by_test_id("buy-problem")).to_contain_text("over")


async def test_a_large_picture_is_made_smaller_and_shown(visit: Visit) -> None:
    """More than the server takes, as phones make them: it leaves as a JPEG that fits."""
    page = await visit("/merchant", user="merchant", size="desktop", language="en")
    noise = await page.evaluate(
        """async () => {
          const canvas = Object.assign(document.createElement("canvas"), {width: 900, height: 700});
          const pen = canvas.getContext("2d");
          const data = pen.createImageData(900, 700);
          for (let at = 0; at < data.data.length; at += 65536)
            crypto.getRandomValues(data.data.subarray(at, at + 65536));
          pen.putImageData(data, 0, 0);
          return canvas.toDataURL("image/png").split(",")[1];
        }"""
    )
    await page.get_by_test_id("product-edit").last.click()
    picture = FilePayload(name="p.png", mimeType="image/png", buffer=base64.b64decode(noise))
    assert len(picture["buffer"]) > 1_048_576
    await page.get_by_test_id("product-picture").set_input_files(picture)
    await page.get_by_test_id("product-save").click()
    shown = page.get_by_test_id("product-row").last.locator("img")
    await expect(shown).to_have_attribute("src", re.compile(r"^/images/.*\.jpg$"))


async def test_a_shop_that_asks_gets_the_address_of_a_paid_order(visit: Visit) -> None:
    """The buyer gives it once it is paid and sees only that it was given; the shop reads it."""
    desk = await visit("/merchant#shop", user="merchant", language="en", bypass_csp=True)
    await desk.get_by_test_id("shop-checkout").select_option("collect")
    await desk.get_by_test_id("shop-days").fill("30")
    assert await axe(desk) == []
    await desk.get_by_test_id("shop-save").click()
    await expect(desk.get_by_test_id("toast")).to_be_visible()
    buyer = await visit("/rooms/demo", language="en", bypass_csp=True)
    number = await bought(buyer)
    await buyer.get_by_test_id("order-pay").click()
    await buyer.get_by_test_id("delivery-recipient").fill("Li Na")
    await buyer.get_by_test_id("delivery-phone").fill("+86 138 0000 0000")
    await buyer.get_by_test_id("delivery-address").fill("1 Tea Street\nHangzhou")
    assert await axe(buyer) == []
    await buyer.get_by_test_id("delivery-save").click()
    await expect(buyer.get_by_test_id("delivery-given")).to_be_visible()
    await desk.get_by_test_id("tab-orders").click()
    await desk.locator(f'[data-order="{number}"]').get_by_test_id("merchant-order-open").click()
    await expect(desk.get_by_test_id("desk-address")).to_contain_text("1 Tea Street")
    await desk.get_by_test_id("order-sheet-close").click()
    await desk.get_by_test_id("tab-shop").click()
    await desk.get_by_test_id("shop-checkout").select_option("none")
    async with desk.expect_response("**/v1/shop") as saved:
        await desk.get_by_test_id("shop-save").click()
    assert (await saved.value).ok


async def test_a_file_of_products_is_imported_at_the_desk(visit: Visit) -> None:
    """Mistakes are told line by line, and a right file says what became of it."""
    desk = await visit("/merchant", user="merchant", language="en", bypass_csp=True)
    await desk.get_by_test_id("product-import").click()
    sheet = desk.get_by_test_id("import-sheet")
    head = "sku,title,price_cents,currency,stock\n"

    async def send(rows: str) -> None:
        file = FilePayload(name="goods.csv", mimeType="text/csv", buffer=(head + rows).encode())
        await sheet.get_by_test_id("import-file").set_input_files(file)
        await sheet.get_by_test_id("import-save").click()

    await send("import-1,,900,CNY,1\nimport-2,Jar,9.5,CNY,1\n")
    await expect(sheet.get_by_test_id("import-mistakes").locator("li")).to_have_count(2)
    assert await axe(desk) == []
    await send("import-1,Tin,900,CNY,1\nimport-2,Jar,950,CNY,1\n")
    await expect(sheet.get_by_test_id("import-result")).to_have_text(
        "2 new, 0 changed, 0 as they were."
    )
    await sheet.get_by_test_id("import-sheet-close").click()
    row = desk.locator('[data-sku="import-2"]')
    await expect(row).to_contain_text("¥9.50")


async def test_a_shop_makes_a_key_for_its_programs_and_ends_it(visit: Visit) -> None:
    desk = await visit("/merchant#shop", user="merchant", language="en", bypass_csp=True)
    await desk.get_by_test_id("key-name").fill("Warehouse")
    await desk.get_by_test_id("key-save").click()
    form = desk.get_by_test_id("key-form")
    assert not await form.evaluate("(form) => form.checkValidity()")  # no scope was chosen
    await expect(desk.get_by_test_id("key-row")).to_have_count(0)
    await desk.locator('[data-testid="key-scope"][value="orders:read"]').check()
    await desk.get_by_test_id("key-save").click()
    key = (await desk.get_by_test_id("key-secret").inner_text()).strip()
    row = desk.get_by_test_id("key-row").filter(has_text="Warehouse")
    await expect(row).to_contain_text("Not used yet")
    assert await axe(desk) == []
    request = desk.context.request
    headers = {"Authorization": f"Bearer {key}"}
    assert (await request.get("/v1/orders", headers=headers)).status == 200
    assert (await request.get("/v1/products", headers=headers)).status == 403
    await row.get_by_test_id("key-delete").click()
    await desk.get_by_test_id("ask-yes").click()
    await expect(row).to_have_count(0)
    assert (await request.get("/v1/orders", headers=headers)).status == 401
