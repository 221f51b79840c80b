"""Every page in every state: by day the table is whole, at night each row is caused and seen."""

import asyncio
import base64
import os
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright

from tests.browser import causes_room, causes_sale, causes_staff
from tests.browser.causes import CAUSES
from tests.browser.conftest import SIZES
from tests.browser.stand import Eyes, Stand
from tests.browser.states import State, known_pages, known_words, pattern, table
from tests.browser.test_pages import axe
from tests.conftest import without
from tests.e2e.browser import CHROMIUM, FLAGS, SCREENSHOTS

FAKE = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
MODULES = (causes_room, causes_sale, causes_staff)
KEPT = SCREENSHOTS / "states"
QUALITY = 55  # of 100, WebP: words stay sharp
LARGEST_BYTES = 100_000
#: one cause serves a phone and, made wider, a desktop; elder mode is chosen before a page begins
WHOLE = [["phone", "desktop"], ["elder"]]
#: pages that viewers see; the others are looked at on a desktop first
VIEWERS = ("room", "orders", "lobby", "login", "show")
WORDS_SECONDS = 10.0
#: all that people read or hear, open sheets and placeholders too
TEXT = """() => [document.body.innerText, ...Array.from(
  document.querySelectorAll("[placeholder],[aria-label]"),
  (e) => `${e.getAttribute("placeholder") || ""}\\n${e.getAttribute("aria-label") || ""}`),
  ...Array.from(document.querySelectorAll(".sr"), (e) => e.textContent)].join("\\n")"""


def test_every_row_has_a_cause_and_every_cause_a_row() -> None:
    assert set(table()) == set(CAUSES)


def test_every_page_and_every_state_that_the_texts_name_has_a_row() -> None:
    """A new page, or a new text for an empty place or a refusal, asks for its row."""
    rows = table().values()
    assert known_pages() == {row.page for row in rows}
    assert known_words() - {word for row in rows for word in row.words} == set()


def test_the_kept_pictures_are_of_rows_and_small() -> None:
    kept = list(KEPT.glob("*"))
    assert {file.stem.removesuffix("-elder") for file in kept} - set(table()) == set()
    assert [file.name for file in kept if file.stat().st_size > LARGEST_BYTES] == []


async def missing_words(page: Page, state: State, language: str) -> list[str]:
    """The words of this state that do not come within some seconds."""
    deadline = asyncio.get_running_loop().time() + WORDS_SECONDS
    while True:
        seen = "\n".join([await frame.evaluate(TEXT) for frame in page.frames])
        missing = [key for key in state.words if not pattern(key, language).search(seen)]
        if not missing or asyncio.get_running_loop().time() > deadline:
            return missing
        await asyncio.sleep(0.1)


async def keep_picture(page: Page, state: State, face: str, language: str) -> None:
    """Into the folder that was asked for, and into docs/ if it is one of those kept there."""
    viewers = state.page in VIEWERS
    usual = face == ("phone" if viewers else "desktop")
    kept = KEPT / f"{state.id}{'' if usual else '-elder'}.webp"
    mine = (usual or (viewers and face == "elder")) and language == ("zh-CN" if viewers else "en")
    fresh = mine and (not kept.exists() or bool(os.environ.get("SCREENSHOTS")))
    folder = os.environ.get("STATES_PICTURES")
    if not fresh and not folder:
        return
    session = await page.context.new_cdp_session(page)
    shot = await session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    await session.detach()
    files = [kept] if fresh else []
    files += [Path(folder) / f"{state.id}.{face}.{language}.webp"] if folder else []
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(shot["data"]))


async def look(page: Page, state: State, face: str, language: str) -> list[str]:
    """What is wrong with what is seen."""
    found = [f"lacks {key}" for key in await missing_words(page, state, language)]
    await keep_picture(page, state, face, language)
    if await page.evaluate("() => document.documentElement.scrollWidth > innerWidth"):
        found.append("scrolls sideways")
    await page.evaluate("scrollTo(0, 0)")  # what has scrolled under the head is not covered by it
    if state.name not in ("opening", "no-words"):  # there is no page yet
        wrong = await axe(page)
        if state.page == "overlay":  # what lies under it is the picture, not the page
            wrong = [line for line in wrong if not line.startswith("color-contrast")]
        found += [f"axe: {line}" for line in wrong]
    return [f"{face} {language}: {line}" for line in found]


async def look_at(stand: Stand, eyes: Eyes, state: State, faces: list[str]) -> list[str]:
    """Causes the state once and looks at it in these sizes."""
    try:
        async with asyncio.timeout(120):
            page = await CAUSES[state.id].cause(stand, eyes)
            found = []
            for face in faces:
                if face != "elder":
                    await page.set_viewport_size(SIZES[face])  # type: ignore[arg-type]
                found += await look(page, state, face, eyes.language)
            return found
    except Exception as error:  # one state that cannot be caused hides no other
        return [f"{faces} {eyes.language}: {type(error).__name__}: {str(error)[:600]}"]
    finally:
        await eyes.close()


@pytest.mark.nightly
@pytest.mark.browser
@pytest.mark.parametrize("language", ["zh-CN", "en"])
async def test_every_state_is_caused_seen_and_accessible(tmp_path: Path, language: str) -> None:
    """`STATES=room-lost,orders-none` looks at these alone, `STATES_FACES=phone,elder` in these."""
    without("browser")
    chosen = os.environ.get("STATES", "").split(",") if os.environ.get("STATES") else list(table())
    wanted = os.environ.get("STATES_FACES", "phone,desktop,elder").split(",")
    findings: list[str] = []
    async with async_playwright() as play, Stand(tmp_path) as stand:
        browser = await play.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *FAKE])
        for id in chosen:
            state = table()[id]
            brief = CAUSES[id].brief
            for faces in [["phone"], ["desktop"], ["elder"]] if brief else WHOLE:
                faces = [face for face in faces if face in wanted]
                if not faces:
                    continue
                size = SIZES["desktop" if faces == ["desktop"] else "phone"]
                eyes = Eyes(stand, browser, language, size, faces == ["elder"])
                found = [f"{id} {line}" for line in await look_at(stand, eyes, state, faces)]
                print(*found, sep="\n", end="\n" if found else "", flush=True)
                findings += found
        await browser.close()
    assert not findings, "\n".join(findings)
