"""The language that nobody speaks: no text stands in the pages' code, and longer ones fit."""

import re
from typing import Any

import pytest

from loadtest.server import Server
from loadtest.shop import Shop
from tests.browser.conftest import Visit

pytestmark = pytest.mark.browser

PAGES = {
    "/": "",
    "/rooms/demo": "",
    "/orders": "",
    "/login": "",
    "/console/demo": "streamer",
    "/merchant": "merchant",
}
#: what people read or hear of the page itself; what people wrote stands in <bdi>, or is data
TEXTS = """() => {
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const home = walk.currentNode.parentElement;
    if (!home.closest("script,noscript,bdi,code,[lang='zh-CN']")) found.push(walk.currentNode.data);
  }
  for (const one of document.querySelectorAll("[aria-label],[placeholder],[title],[alt]"))
    for (const name of ["aria-label", "placeholder", "title", "alt"])
      if (!one.closest("bdi")) found.push(one.getAttribute(name) || "");
  return found;
}"""
WRITTEN = "() => [...document.querySelectorAll('bdi')].map((one) => one.textContent)"
WORD = re.compile(r"[A-Za-z]{2,}")


def strings(value: Any) -> set[str]:
    """All texts in an answer of the server, and their words."""
    if isinstance(value, dict):
        return {text for one in value.values() for text in strings(one)}
    if isinstance(value, list):
        return {text for one in value for text in strings(one)}
    return set(WORD.findall(value)) if isinstance(value, str) else set()


async def test_every_text_comes_from_the_catalogue_and_may_be_longer(
    visit: Visit, shop: Server
) -> None:
    """On a phone: no English is left but the shop's data, and nothing scrolls sideways."""
    async with Shop(shop.base) as api:
        token = await api.sign_in("merchant", "demo")
        data = strings(await api.call("GET", "/v1/rooms/demo"))
        data |= strings(await api.call("GET", "/v1/rooms"))
        data |= strings(await api.call("GET", "/v1/products", token))
        data |= strings(await api.call("GET", "/v1/orders", token))
    findings = []
    for path, user in PAGES.items():
        page = await visit(path, user=user, language="en")
        await page.goto(f"{path}?lang=en-XA")
        await page.wait_for_selector("html[data-ready=true][lang=en-XA]")
        texts = await page.evaluate(TEXTS)
        written = strings(await page.evaluate(WRITTEN))  # a label may name who wrote it
        assert any("·]" in text for text in texts), path
        for text in texts:
            left = set(WORD.findall(text)) - data - written - {user, "CN", "liveserver"}
            findings += [f"{path}: {text!r}"] if left else []
        if await page.evaluate("() => document.documentElement.scrollWidth > innerWidth"):
            findings.append(f"{path}: scrolls sideways")
        await page.context.close()
    assert findings == []
