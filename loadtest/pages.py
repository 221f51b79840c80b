"""
`python -m loadtest pages`: the live room's budgets in Chromium, with its CPU slowed four times.

Starts a demo shop of its own. A figure that was taken while other programs used the machine is
printed as "to be repeated".
"""

import argparse
import asyncio
import gzip
import json
import shutil
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import Browser, CDPSession, Page, async_playwright

from loadtest.machine import DISTURBED_CORES, Machine
from loadtest.pages_frames import FLY, FLY_PAST, bare, spent, watch
from loadtest.report import circumstances
from loadtest.server import Server
from loadtest.shop import Shop

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SLOWER = 4  # times: a phone of some years ago
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}
RUNS = 5
SPOKEN_A_SECOND = 100
SPOKEN_BATCHES = 4  # a second, of each speaker
SPEAKERS = 5  # one socket may not send as much
FLYING = 150
SIMULATED_MESSAGES = 180_000  # 30 minutes of 100 a second
FLOWN_PAST = 100_000
READY = "html[data-ready=true]"
OWN_BYTES = 60_000
ALL_BYTES = 150_000
VIDEO = "/static/js/video/"

#: When the page is ready, in ms since the navigation began.
WATCH_READY = """new MutationObserver(() => {
  if (document.documentElement.dataset.ready && !window.readyAt) window.readyAt = performance.now();
}).observe(document, {subtree: true, attributes: true, attributeFilter: ["data-ready"]})"""

#: What had been asked for when the page was ready.
LOADED = """performance.getEntriesByType("resource")
  .filter((one) => one.startTime <= window.readyAt).map((one) => one.name)"""

#: One message of our own: from the press to its row, in ms.
SPEAK = """(text) => new Promise((done) => {
  const input = document.querySelector("[data-testid=chat-input]");
  const list = document.querySelector(".chat-rows");
  input.value = text;
  const begun = performance.now();
  const seen = new MutationObserver(() => {
    if (!list.lastElementChild.textContent.includes(text)) return;
    seen.disconnect();
    requestAnimationFrame(() => done(performance.now() - begun));
  });
  seen.observe(list, {childList: true});
  document.querySelector(".composer").dispatchEvent(new Event("submit", {cancelable: true}));
})"""

#: A batch of messages as the socket would deliver them.
POUR = """([from, count]) => document.querySelector("chat-panel").add(
  Array.from({length: count}, (_, at) => ({
    type: "chat", id: `p${from + at}`, user: {id: `u${at % 50}`, name: `Viewer ${at % 50}`,
    badges: []}, text: `message number ${from + at}`, at: Date.now()})))"""


@dataclass
class Figure:
    """One row of the table; `holds` None: told, not judged."""

    what: str
    wanted: str
    measured: str
    holds: bool | None


@dataclass
class Bench:
    """A running demo and a browser."""

    base: str
    token: str
    browser: Browser
    seconds: float

    async def page(self, size: dict[str, int] = PHONE) -> tuple[Page, CDPSession]:
        """A page whose CPU is slowed, not yet anywhere."""
        context = await self.browser.new_context(base_url=self.base, viewport=size, locale="en")  # type: ignore[arg-type]
        page = await context.new_page()
        await page.add_init_script(WATCH_READY)
        session = await context.new_cdp_session(page)
        await session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
        return page, session

    async def room(self, size: dict[str, int] = PHONE, before: str = "") -> tuple[Page, CDPSession]:
        """The live room, connected, danmaku on; `before` is a script to run before its own."""
        page, session = await self.page(size)
        await page.add_init_script(before)
        await page.goto("/rooms/demo")
        await page.wait_for_selector("[data-testid=room][data-connection=live]")
        await page.wait_for_selector("[data-testid=danmaku-layer]", state="attached")
        return page, session


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--seconds", type=float, default=10.0, help="of each count of frames")
    parser.set_defaults(go=go)


def go(arguments: argparse.Namespace) -> int:
    """Exit code 1 if a figure was not reached, 2 if nothing could be measured."""
    unknown = set(arguments.rows) - set(ROWS)
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if unknown or program is None:
        print(f"no such rows: {sorted(unknown)}" if unknown else "no Chromium here")
        return 2
    figures = asyncio.run(measured(arguments.rows or list(ROWS), program, arguments.seconds))
    return 1 if any(figure.holds is False for figure in figures) else 0


async def measured(rows: list[str], program: str, seconds: float) -> list[Figure]:
    """Every row, printed as it is known."""
    print(f"{circumstances()}\n\n| figure | asked | measured | met |\n|---|---|---|---|")
    found: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "data", {"LIVESERVER_FLOOD_RULES": "0"}).start()
        try:
            async with async_playwright() as play, Shop(server.base) as shop:
                token = await shop.sign_in("streamer", "demo")
                browser = await play.chromium.launch(executable_path=program, args=FLAGS)
                bench = Bench(server.base, token, browser, seconds)
                for row in rows:
                    found += await watched(ROWS[row], bench, browser)
                await browser.close()
        finally:
            server.stop()
    return found


async def watched(row: "Row", bench: Bench, browser: Browser) -> list[Figure]:
    """One row; times say little where others used the machine just before. Sizes do."""
    idle = Machine()
    idle.begin()
    await asyncio.sleep(1.0)  # nothing of ours works now
    disturbed = idle.end().disturbed_cores > DISTURBED_CORES
    figures = await row(bench)
    marks = {True: "yes", False: "**no**", None: "–"}
    for figure in figures:
        again = disturbed and not figure.wanted.endswith("kB")
        told = figure.measured + ("; to be repeated: others used the machine" if again else "")
        print(f"| {figure.what} | {figure.wanted} | {told} | {marks[figure.holds]} |", flush=True)
    for context in browser.contexts:
        await context.close()
    return figures


async def size(bench: Bench) -> list[Figure]:
    """Script that the live room loads until it can be used, each file gzipped by itself."""
    page, _ = await bench.page()
    bodies: dict[str, bytes] = {}
    answers: list[Any] = []
    page.on("response", lambda answer: answers.append(answer))
    await page.goto("/rooms/demo")
    await page.wait_for_selector(READY)
    first = set(await page.evaluate(LOADED))
    for answer in answers:
        path = "/" + answer.url.split("/", 3)[3].split("?")[0]
        if path.endswith(".js") and answer.url in first:
            bodies[path] = await answer.body()
    sizes = {path: len(gzip.compress(body, 9)) for path, body in bodies.items()}
    own = sum(n for path, n in sizes.items() if "/vendor/" not in path)
    whole = sum(n for path, n in sizes.items() if not path.startswith(VIDEO))
    return [
        Figure("own script, gzipped", "≤ 60 kB", f"{own / 1000:.1f} kB", own <= OWN_BYTES),
        Figure(
            "with libraries, no video", "≤ 150 kB", f"{whole / 1000:.1f} kB", whole <= ALL_BYTES
        ),
    ]


async def interactive(bench: Bench) -> list[Figure]:
    """From the address to a room that can be used, nothing cached."""
    times = []
    for _ in range(RUNS):
        page, _ = await bench.page()
        await page.goto("/rooms/demo")
        await page.wait_for_selector(READY)
        times.append(await page.evaluate("window.readyAt"))
        await page.context.close()
    middle = statistics.median(times)
    told = f"{middle:.0f} ms, median of {RUNS} ({min(times):.0f}–{max(times):.0f})"
    return [Figure("live room interactive", "≤ 1.5 s", told, middle <= 1_500)]


async def own_message(bench: Bench) -> list[Figure]:
    """From the press to one's own row, over the server and back."""
    page, _ = await bench.page()
    await page.context.add_cookies(
        [{"name": "liveserver_session", "value": bench.token, "url": bench.base}]
    )
    await page.goto("/rooms/demo")
    await page.wait_for_selector("[data-testid=room][data-connection=live]")
    times = []
    for number in range(RUNS * 4):
        times.append(await page.evaluate(SPEAK, f"own message {number}"))
        await asyncio.sleep(0.2)
    times.sort()
    told = f"{statistics.median(times):.0f} ms; slowest of {len(times)}: {times[-1]:.0f} ms"
    return [Figure("own message shown", "≤ 200 ms", told, times[-1] <= 200)]


async def speak(bench: Bench) -> None:
    """The share of one speaker of 100 messages a second, until it is cancelled."""
    url = bench.base.replace("http", "ws", 1) + "/connection/websocket"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await socket.send_str(json.dumps({"id": 1, "connect": {"token": bench.token}}))
        await socket.receive()  # until it is connected
        answers = asyncio.create_task(drain(socket))
        try:
            number = 1
            while True:
                for _ in range(SPOKEN_A_SECOND // SPOKEN_BATCHES // SPEAKERS):
                    number += 1
                    data = {"text": f"message number {number} of a busy evening"}
                    wish = {"id": number, "publish": {"channel": "chat:demo", "data": data}}
                    await socket.send_str(json.dumps(wish))
                await asyncio.sleep(1 / SPOKEN_BATCHES)
        finally:
            answers.cancel()


async def drain(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Reads what comes and answers pings."""
    async for message in socket:
        if message.data.strip() == "{}":
            await socket.send_str("{}")


async def busy_chat(bench: Bench) -> list[Figure]:
    """Frames while 100 people speak each second, and in the same room before."""
    page, _ = await bench.room()
    silent = await watch(page, bench.seconds)
    speaker = asyncio.gather(*(speak(bench) for _ in range(SPEAKERS)))
    try:
        await asyncio.sleep(3)  # until the rows are full
        seen = await watch(page, bench.seconds)
    finally:
        speaker.cancel()
        with suppress(asyncio.CancelledError):
            await speaker
    told = f"{seen.mean:.0f} frames/s, worst second {seen.worst:.0f}; {silent.mean:.0f} in silence"
    return [
        Figure("100 messages/s", "≥ 50 frames/s", told, seen.mean >= 50),
        Figure("rows of the chat meanwhile", "≤ 200", str(seen.rows), 0 < seen.rows <= 200),
    ]


async def danmaku(bench: Bench) -> list[Figure]:
    """Frames while 150 danmaku fly on a desktop, beside what is possible here."""
    empty, _ = await bench.page(DESKTOP)
    none, words = await bare(empty, bench.seconds), await bare(empty, bench.seconds, FLYING)
    await empty.context.close()
    page, _ = await bench.room(DESKTOP)
    calm = await watch(page, bench.seconds)
    await page.evaluate(FLY, FLYING)
    seen = await watch(page, bench.seconds)
    told = (
        f"{seen.mean:.0f} frames/s, worst second {seen.worst:.0f}; {seen.flying} flying, "
        f"{seen.fewest} when one of each lane has just left; "
        f"{calm.mean:.0f} without them; an empty page {none.mean:.0f}, one of {FLYING} animated "
        f"words {words.mean:.0f}"
    )
    holds = seen.mean >= 58 and seen.flying >= FLYING * 0.98
    parts = str(await spent(bench.browser, page))
    return [
        Figure("150 danmaku on screen", "60 frames/s", told, holds),
        Figure("each of those frames, traced", "–", parts, None),
    ]


async def heap(session: CDPSession) -> int:
    """Bytes in use after a collection."""
    await session.send("HeapProfiler.collectGarbage")
    return int((await session.send("Runtime.getHeapUsage"))["usedSize"])


async def memory(bench: Bench) -> list[Figure]:
    """The heap over 30 simulated minutes of 100 messages a second."""
    page, session = await bench.room()
    await session.send("Emulation.setCPUThrottlingRate", {"rate": 1})  # time is simulated here
    sizes = []
    step = 1_000
    for sent in range(0, SIMULATED_MESSAGES, step):
        await page.evaluate(POUR, [sent, step])
        if sent % (SIMULATED_MESSAGES // 6) == 0:
            sizes.append(await heap(session))
    sizes.append(await heap(session))
    grown = sizes[-1] / sizes[1] - 1
    told = f"{sizes[1] / 1e6:.1f} → {sizes[-1] / 1e6:.1f} MB ({grown:+.0%}) over 180,000 messages"
    return [Figure("memory over 30 simulated minutes", "flat (≤ 10 %)", told, grown <= 0.10)]


async def danmaku_memory(bench: Bench) -> list[Figure]:
    """The heap while 100,000 danmaku fly past."""
    page, session = await bench.room(DESKTOP)
    await session.send("Emulation.setCPUThrottlingRate", {"rate": 1})  # time is simulated here
    sizes: list[int] = []
    flown = 0
    while flown < FLOWN_PAST:
        flown = await page.evaluate(FLY_PAST, FLOWN_PAST // 100)
        if len(sizes) * FLOWN_PAST // 5 < flown:
            sizes.append(await heap(session))
    sizes.append(await heap(session))
    grown = sizes[-1] / sizes[1] - 1
    told = f"{sizes[1] / 1e6:.1f} → {sizes[-1] / 1e6:.1f} MB ({grown:+.0%}) over {flown:,}"
    return [Figure("memory over 100,000 danmaku", "flat (≤ 10 %)", told, grown <= 0.10)]


Row = Callable[[Bench], Awaitable[list[Figure]]]
ROWS: dict[str, Row] = {
    "size": size,
    "interactive": interactive,
    "own-message": own_message,
    "busy-chat": busy_chat,
    "danmaku": danmaku,
    "memory": memory,
    "danmaku-memory": danmaku_memory,
}
