"""The viewer socket as a browser opens it."""

from typing import Any

from playwright.async_api import expect

from tests.browser.conftest import Visit

TEXT = "compressed once for all " * 8


async def test_chromium_gets_the_chat_compressed(visit: Visit) -> None:
    """It offers permessage-deflate, the server agrees, and what is said is read by everybody."""
    page = await visit("/rooms/demo", user="streamer")
    browser = await page.context.new_cdp_session(page)
    shakes: list[dict[str, Any]] = []
    frames: list[dict[str, Any]] = []
    browser.on("Network.webSocketHandshakeResponseReceived", lambda one: shakes.append(one))
    browser.on("Network.webSocketFrameReceived", lambda one: frames.append(one))
    await browser.send("Network.enable")
    await page.reload()
    await expect(page.get_by_test_id("room")).to_have_attribute("data-connection", "live")
    await page.get_by_test_id("chat-input").fill(TEXT.strip())
    await page.get_by_test_id("chat-send").click()
    await expect(page.get_by_test_id("chat-row").filter(has_text=TEXT.strip())).to_have_count(1)
    [shake] = [one["response"] for one in shakes if "/connection/" in str(one)]
    headers = {name.lower(): value for name, value in shake["headers"].items()}
    agreed = headers["sec-websocket-extensions"].replace(" ", "").split(";")
    assert agreed[0] == "permessage-deflate" and "server_no_context_takeover" in agreed
    assert any(TEXT.strip() in one["response"]["payloadData"] for one in frames)
