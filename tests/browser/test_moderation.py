"""Moderation as people see it: staff at the console, a viewer on a phone, in a real browser."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Page, expect

from loadtest.server import Server
from loadtest.shop import Shop
from tests.browser.test_pages import axe

pytestmark = pytest.mark.browser

Visit = Callable[..., Awaitable[Page]]


@pytest.fixture(autouse=True)
async def open_talk(shop: Server) -> AsyncIterator[None]:
    """The demo room's chat is as at its beginning, before and after."""
    for at_the_end in (False, True):
        async with Shop(shop.base) as api:
            token = await api.sign_in("moderator", "demo")
            rules = {"slow_mode_seconds": 0, "muted_all": False, "links": True}
            await api.call("PATCH", "/v1/rooms/demo/chat", token, rules)
            await api.call("PUT", "/v1/rooms/demo/word-lists", token, {"items": []})
        if not at_the_end:
            yield


async def say(page: Page, words: str) -> None:
    await page.get_by_test_id("chat-input").fill(words)
    await page.get_by_test_id("chat-send").click()


async def named(visit: Visit, name: str, **options: Any) -> Page:
    """A viewer who has said hello already."""
    page = await visit("/rooms/demo", **options)
    await expect(page.get_by_test_id("chat-input")).to_be_enabled()
    await say(page, f"{name} 来了")
    await page.get_by_test_id("name-input").fill(name)
    await page.get_by_test_id("name-save").click()
    await expect(row(page, f"{name} 来了")).to_be_visible()
    return page


def row(page: Page, words: str) -> Any:
    return page.get_by_test_id("chat-row").filter(has_text=words)


async def test_staff_delete_and_mute_and_the_viewer_reads_why(visit: Visit) -> None:
    """The message leaves the viewer's screen, the muted text stays in the box, lifting opens it."""
    console = await visit("/console/demo", user="moderator", size="desktop", bypass_csp=True)
    viewer = await named(visit, "小明")
    await say(viewer, "要删掉的一句话")
    there = row(console, "要删掉的一句话")
    await there.hover()
    await there.get_by_test_id("chat-menu").click()
    await expect(console.get_by_test_id("message-menu")).to_be_visible()
    assert await axe(console) == []
    await console.get_by_test_id("message-delete").click()
    await expect(there).to_have_count(0)
    await expect(row(viewer, "要删掉的一句话")).to_have_count(0)
    # by keyboard: the log is one stop, the arrows go from message to message
    await console.get_by_test_id("chat-log").focus()
    await console.keyboard.press("ArrowUp")
    await expect(console.get_by_test_id("chat-menu").last).to_be_focused()
    await console.keyboard.press("Enter")
    await console.locator('[data-testid=message-mute][data-seconds="600"]').click()
    field = viewer.get_by_test_id("chat-input")
    await expect(field).to_be_disabled()
    assert "禁言" in str(await field.get_attribute("placeholder"))
    await viewer.reload()
    await expect(field).to_be_enabled()
    await say(viewer, "还能说话吗")
    await expect(viewer.get_by_test_id("chat-problem")).to_contain_text("禁言")
    await expect(field).to_have_value("还能说话吗")
    await console.get_by_test_id("talk-people").click()
    await expect(console.get_by_test_id("people-row")).to_contain_text("小明")
    await console.get_by_test_id("people-lift").click()
    await expect(console.get_by_test_id("people-empty")).to_be_visible()
    await console.keyboard.press("Escape")
    await viewer.get_by_test_id("chat-send").click()
    await expect(row(viewer, "还能说话吗")).to_be_visible()
    await console.get_by_test_id("talk-log").click()
    deleted = console.locator('[data-testid=log-row][data-action="message.delete"]').first
    await expect(deleted).to_contain_text("要删掉的一句话")
    assert await axe(console) == []


async def test_rules_and_word_lists_hold_at_once_and_refusals_keep_the_text(visit: Visit) -> None:
    """Slow mode counts, full mute closes the field, a listed word is refused or waits for staff."""
    console = await visit("/console/demo", user="streamer", size="desktop")
    viewer = await named(visit, "Anna", language="en")
    await console.get_by_test_id("talk-words").click()
    await console.get_by_test_id("words-name").fill("联系方式")
    await console.get_by_test_id("words-words").fill("微信\nwechat")
    await console.get_by_test_id("words-add").click()
    second = console.get_by_test_id("words-list").nth(1)
    await second.get_by_test_id("words-name").fill("先看看")
    await second.get_by_test_id("words-action").select_option("hold")
    await second.get_by_test_id("words-words").fill("partners")
    await console.get_by_test_id("words-save").click()
    await expect(console.get_by_test_id("words-sheet")).to_have_count(0)
    await say(viewer, "my Ｗe.Ｃhat is anna")
    await expect(viewer.get_by_test_id("chat-problem")).to_contain_text("not allowed here")
    await expect(viewer.get_by_test_id("chat-input")).to_have_value("my Ｗe.Ｃhat is anna")
    await say(viewer, "looking for partners")
    await expect(viewer.get_by_test_id("toast")).to_contain_text("review")
    await console.get_by_test_id("talk-queue").click()
    await expect(console.get_by_test_id("queue-held")).to_contain_text("looking for partners")
    await console.get_by_test_id("held-show").click()
    await expect(row(viewer, "looking for partners")).to_be_visible()
    await console.keyboard.press("Escape")
    await console.get_by_test_id("talk-slow").select_option("120")
    field, send = viewer.get_by_test_id("chat-input"), viewer.get_by_test_id("chat-send")
    await expect(field).to_have_attribute("placeholder", "Slow: 120 s")
    await expect(send).to_be_disabled()  # it counts from what was said before
    await console.get_by_test_id("talk-slow").select_option("0")
    await expect(send).to_be_enabled()
    await say(viewer, "first in slow mode")
    await expect(row(viewer, "first in slow mode")).to_be_visible()
    await console.get_by_test_id("talk-slow").select_option("120")
    await expect(send).to_be_disabled()
    await console.get_by_test_id("talk-links").click()  # other rules leave the count alone
    await expect(console.get_by_test_id("talk-links")).to_have_attribute("aria-pressed", "true")
    await expect(send).to_have_text(re.compile(r"^[0-9]+$"))
    await expect(send).to_be_disabled()
    await expect(field).to_be_enabled()  # typing goes on
    await console.get_by_test_id("talk-mute-all").click()
    await expect(viewer.get_by_test_id("chat-input")).to_be_disabled()
    await expect(console.get_by_test_id("talk-mute-all")).to_have_attribute("aria-pressed", "true")


async def test_a_viewer_reports_a_message_with_a_long_press(visit: Visit) -> None:
    """On a phone; staff see the count, the text and the reason, and decide."""
    rude = await named(visit, "阿强")
    await say(rude, "很难听的一句话")
    viewer = await visit("/rooms/demo", has_touch=True, is_mobile=True, bypass_csp=True)
    console = await visit("/console/demo", user="moderator", size="desktop")
    there = row(viewer, "很难听的一句话")
    await expect(there).to_be_visible()
    touch = {"pointerType": "touch", "bubbles": True}
    await there.dispatch_event("pointerdown", touch)
    await expect(viewer.get_by_test_id("report-form")).to_be_visible()
    assert await axe(viewer) == []
    await viewer.get_by_test_id("report-reason").select_option("abuse")
    await viewer.get_by_test_id("report-note").fill("请看一下")
    await viewer.get_by_test_id("report-send").click()
    await expect(viewer.get_by_test_id("report-form")).to_have_count(0)
    await expect(console.get_by_test_id("talk-queue")).to_have_attribute("data-waiting", "1")
    await console.get_by_test_id("talk-queue").click()
    report = console.get_by_test_id("queue-report")
    await expect(report).to_contain_text("很难听的一句话")
    await expect(report).to_contain_text("请看一下")
    await report.get_by_test_id("report-delete").click()
    await expect(console.get_by_test_id("queue-empty")).to_be_visible()
    await expect(there).to_have_count(0)


async def test_staff_come_back_to_questions_and_answer_them(visit: Visit) -> None:
    """Questions alone, how many wait; an answer stands with what it answers, until that is gone."""
    console = await visit(
        "/console/demo", user="streamer", size="desktop", language="en", bypass_csp=True
    )
    viewer = await named(visit, "Ben", language="en")
    await say(viewer, "is it dishwasher safe?")
    filter_ = console.get_by_test_id("chat-questions")
    await expect(filter_).not_to_have_attribute("data-open", "0")
    asked = row(console, "is it dishwasher safe?").first
    await filter_.click()
    await expect(asked).to_be_visible()
    await expect(row(console, "Ben 来了")).to_be_hidden()
    waiting = int(str(await filter_.get_attribute("data-open")))
    await asked.hover()
    await asked.get_by_test_id("chat-menu").click()
    await console.get_by_test_id("message-reply").click()
    await expect(console.get_by_test_id("chat-input")).to_be_focused()
    await expect(console.get_by_test_id("chat-replying")).to_contain_text("Ben")
    assert await axe(console) == []
    await say(console, "Yes, up to 60 degrees.")
    await expect(asked).to_be_hidden()
    await expect(filter_).to_have_attribute("data-open", str(waiting - 1))
    answer = row(viewer, "Yes, up to 60 degrees.")
    await expect(answer.get_by_test_id("chat-quote")).to_contain_text("is it dishwasher safe?")
    await filter_.click()
    await asked.hover()
    await asked.get_by_test_id("chat-menu").click()
    await console.get_by_test_id("message-delete").click()
    await expect(answer.get_by_test_id("chat-quote")).to_contain_text("no longer here")


async def test_a_viewer_reads_no_more_of_a_person(visit: Visit) -> None:
    """From the menu of a message; what was said goes too, and the settings bring it back."""
    loud = await named(visit, "Carl", language="en")
    viewer = await visit("/rooms/demo", language="en", bypass_csp=True)
    await row(viewer, "Carl 来了").hover()
    await row(viewer, "Carl 来了").get_by_test_id("chat-menu").click()
    await viewer.get_by_test_id("message-block").click()
    await expect(row(viewer, "Carl 来了")).to_be_hidden()
    await say(loud, "still here")
    await expect(row(viewer, "still here")).to_have_count(1)
    await expect(row(viewer, "still here")).to_be_hidden()
    await viewer.get_by_test_id("settings-open").click()
    await viewer.get_by_test_id("taste-user").get_by_role("button").click()
    await expect(row(viewer, "still here")).to_be_visible()
