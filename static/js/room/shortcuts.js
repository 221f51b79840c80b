// @ts-check
/**
 * What the keys of a room do: K or space stops the picture, M its sound, D danmaku, C goes to the chat's
 * field, / lists them. room/later.js says when; Escape is the browser's own, it closes sheets.
 *
 * testids: shortcuts
 */

import { makeSheet } from "../components/sheet.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";

/** @typedef {{stage: import("./stage.js").Stage, barrage: import("./barrage.js").Barrage}} Things */

/** @type {Record<string, (things: Things) => void>} */
const ACTIONS = {
  k: ({ stage }) => pause(stage.camera?.video),
  " ": ({ stage }) => pause(stage.camera?.video),
  m: ({ stage }) => {
    if (!stage.camera) return;
    stage.camera.video.muted = !stage.camera.video.muted;
    stage.camera.draw();
  },
  d: ({ barrage }) => barrage.press(),
  c: () => /** @type {HTMLElement|null} */ (document.querySelector(".room .chat-input"))?.focus(),
  "/": () => list(),
};

/** @param {HTMLVideoElement|undefined} video */
function pause(video) {
  if (video?.paused) void video.play().catch(() => undefined); // the browser wants a press on the page first
  else video?.pause();
}

function list() {
  const sheet = makeSheet({ title: t("shortcuts.title"), testid: "shortcuts" });
  const rows = [
    ["K", t("shortcuts.pause")],
    ["M", t("shortcuts.sound")],
    ["D", t("shortcuts.danmaku")],
    ["C", t("shortcuts.chat")],
  ].map(([key, words]) => h("div", { class: "settings-row" }, h("dt", null, h("kbd", null, key)), h("dd", null, words)));
  fill(sheet.body, h("dl", { class: "plain" }, ...rows), h("p", { class: "soft small" }, t("shortcuts.off")));
  sheet.open();
}

/** @param {string} key one of room/later.js @param {Things} things */
export function act(key, things) {
  ACTIONS[key](things);
}
