"""
How many frames a page makes, and where their time goes.

A count of frames means little by itself: browser and server share the machine, and without a
graphics processor Chromium draws on the same cores. So an empty page, and one with nothing but
animated words, are counted in the same run, and a trace tells whose time a frame took.
"""

import json
import statistics
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page

TRACED_SECONDS = 4.0  # long enough for some hundred frames
#: how Chromium calls its threads in a trace, and the whole of a turn of their loops
MAIN, COMPOSITOR, DRAWING = "CrRendererMain", "Compositor", "VizCompositorThread"
TURN, DRAWN = "ThreadControllerImpl::RunTask", "DirectRenderer::DrawFrame"
RASTER = "TaskGraphRunner::RunTask"
CATEGORIES = ["toplevel", "viz", "cc"]

#: Frames a second for some seconds, the most rows of the chat, the danmaku of each frame.
FRAMES = """(seconds) => new Promise((done) => {
  const rows = document.querySelector(".chat-rows")?.children || [];
  const shown = document.querySelector("danmaku-layer")?.shown || new Set();
  const each = [], flying = [];
  let [frames, most, begun] = [0, 0, performance.now()], second = begun;
  const step = (now) => {
    frames += 1;
    most = Math.max(most, rows.length);
    flying.push(shown.size);
    if (now - second >= 1000) {
      each.push(frames * 1000 / (now - second));
      frames = 0;
      second = now;
    }
    if (now - begun < seconds * 1000) requestAnimationFrame(step);
    else done({each, rows: most, flying});
  };
  requestAnimationFrame(step);
})"""

#: Keeps this many danmaku on screen, of few letters; resolves when they are there, or after 20 s.
FLY = """(count) => new Promise((done) => {
  const layer = document.querySelector("danmaku-layer");
  const late = performance.now() + 20000;
  let number = 0;
  const fill = () => {
    const missing = count + 20 - layer.shown.size - layer.waiting.length; // the next ones wait
    const items = Array.from({length: Math.max(0, missing)}, () => ({
      id: `f${number += 1}`, user: {id: `u${number}`, badges: []}, mode: "scroll", color: null,
      text: `#${number % 1000}`, at: Date.now(),
    }));
    if (items.length) layer.add(items, "me");
    if (layer.shown.size >= count || performance.now() > late) done();
  };
  layer.suit({...layer.taste, area: 1, size: 0.8});
  window.flight = setInterval(fill, 100);
})"""

#: Lets so many more danmaku fly past, each clock of an animation put forward; how many flew so far.
FLY_PAST = """(count) => {
  const layer = document.querySelector("danmaku-layer");
  if (window.flown === undefined) {
    window.flown = 0;
    const show = layer.show.bind(layer);
    layer.show = (entry, now) => {
      const one = show(entry, now);
      window.flown += one ? 1 : 0;
      return one;
    };
  }
  for (const goal = window.flown + count; window.flown < goal;) {
    layer.add(Array.from({length: 20}, (_, at) => ({
      id: `p${window.flown}-${at}`, user: {id: `u${at}`, badges: []}, mode: "scroll", color: null,
      text: `number ${window.flown} ${at}`, at: Date.now(),
    })), "me");
    for (const { animation } of layer.trains) animation.currentTime += 500;
  }
  return window.flown;
}"""

EMPTY = "<!doctype html><title>empty</title><body>"

#: The plainest way to let words fly: as many elements, each with an animation of its own.
WORDS = """(count) => {
  const place = document.createElement("div");
  place.style = "position: absolute; inset: 84px 384px 210px 0; overflow: hidden; contain: strict";
  for (let at = 0; at < count; at += 1) {
    const word = document.createElement("span");
    word.textContent = `no ${at}`;
    word.style = "position: absolute; font: 600 18px sans-serif; white-space: nowrap";
    place.append(word);
    const y = (at % 17) * 29;
    const path = [900, -100].map((x) => ({transform: `translate3d(${x}px, ${y}px, 0)`}));
    word.animate(path, {duration: 8000, iterations: Infinity, delay: -53 * at});
  }
  document.body.append(place);
}"""


@dataclass
class Frames:
    """Frames a second, as the page's own script sees them."""

    mean: float
    worst: float  # of all seconds
    rows: int  # of the chat, at most
    flying: int  # danmaku, in the middle frame
    fewest: int  # danmaku, of all frames


@dataclass
class Spent:
    """CPU time in ms of each frame on screen, by whose it is, and how many were drawn a second."""

    main: float
    compositor: float  # with what paints new letters
    drawing: float
    drawn: float

    def __str__(self) -> str:
        return (
            f"main thread {self.main:.1f} ms (slowed), compositor and raster {self.compositor:.1f} "
            f"ms, drawing in software {self.drawing:.1f} ms; {self.drawn:.0f} drawn a second"
        )


async def watch(page: Page, seconds: float) -> Frames:
    """Counts the frames of a page."""
    seen = await page.evaluate(FRAMES, seconds)
    each = seen["each"]
    flying = sorted(seen["flying"])
    middle = flying[len(flying) // 2]
    return Frames(statistics.mean(each), min(each), seen["rows"], middle, flying[0])


async def bare(page: Page, seconds: float, words: int = 0) -> Frames:
    """The same of an empty page, or of one with nothing but animated words."""
    await page.set_content(EMPTY)
    if words:
        await page.evaluate(WORDS, words)
    return await watch(page, seconds)


async def spent(browser: Browser, page: Page) -> Spent:
    """Traces the page for some seconds. It must make frames all the time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        await browser.start_tracing(page=page, path=path, categories=CATEGORIES)
        await page.evaluate(FRAMES, TRACED_SECONDS)
        await browser.stop_tracing()
        return digest(json.loads(path.read_text(encoding="utf-8"))["traceEvents"])


def digest(events: list[dict[str, Any]]) -> Spent:
    """Sums the CPU time (`tdur`, µs) of each thread's turns."""
    names = {
        (event["pid"], event["tid"]): event["args"]["name"]
        for event in events
        if event["name"] == "thread_name"
    }
    used: Counter[str] = Counter()
    drawn = 0
    for event in events:
        if event["ph"] != "X":
            continue
        if event["name"] == TURN:
            used[names.get((event["pid"], event["tid"]), "")] += event.get("tdur", 0)
        elif event["name"] == RASTER:
            used[RASTER] += event.get("tdur", 0)
        drawn += event["name"] == DRAWN
    each = max(1, drawn) * 1000
    compositor = used[COMPOSITOR] + used[RASTER]
    per_second = drawn / TRACED_SECONDS
    return Spent(used[MAIN] / each, compositor / each, used[DRAWING] / each, per_second)
