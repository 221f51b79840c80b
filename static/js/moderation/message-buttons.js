// @ts-check
/**
 * The ways to a message's menu: the button of its row, the arrow keys of the log and Enter, and on a
 * phone a long press. What stands in the menu comes with the first of them (message-menu.js).
 *
 * testids: chat-menu
 */

import { h } from "../h.js";
import { t } from "../i18n.js";
import { later, pressed } from "../later.js";

/** @typedef {import("../types.js").ChatMessage} ChatMessage */

/** A press of this long opens the menu, in ms; phones' own menus take about as long. */
const LONG_PRESS_MS = 500;

/** What the menu needs, for whoever has time to fetch it before. */
export const messageMenu = later(() => import("./message-menu.js"));
const open = pressed(messageMenu);

/**
 * `onBlock` where somebody can be blocked.
 *
 * @typedef {{onReply: (message: ChatMessage) => void, onBlock?: (user: import("../types.js").Speaker) => void}} MenuWays
 */

/**
 * Makes the menus of a log work; answers what makes the button of one message.
 *
 * @param {HTMLElement} log @param {string} room @param {boolean} staff @param {MenuWays} ways
 * @returns {(message: ChatMessage) => HTMLElement}
 */
export function messageMenus(log, room, staff, ways) {
  /** @type {WeakMap<Element, ChatMessage>} */
  const messages = new WeakMap();
  const openFor = (/** @type {Element|null} */ button) => {
    const message = button && messages.get(button);
    if (message) void open((menu) => menu.openMenu(message, room, staff, ways));
  };
  const around = (/** @type {EventTarget|null} */ target, /** @type {string} */ what) => (target instanceof Element ? target.closest(what) : null);
  log.addEventListener("click", ({ target }) => openFor(around(target, ".chat-menu")));
  log.addEventListener("keydown", (event) => walk(log, event));
  longPress(log, (target) => openFor(around(target, ".chat-row")?.querySelector(".chat-menu") || null));
  return (message) => {
    const label = t("message.menu", { name: message.user.name || t("chat.nameless") });
    const button = h("button", { type: "button", class: "chat-menu", testid: "chat-menu", tabIndex: -1, "aria-label": label });
    messages.set(button, message);
    return button;
  };
}

/** The arrow keys go from menu to menu; the log itself is one stop of the Tab key. @param {HTMLElement} log @param {KeyboardEvent} event */
function walk(log, event) {
  if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
  const buttons = /** @type {HTMLElement[]} */ (Array.from(log.querySelectorAll(".chat-menu")));
  if (!buttons.length) return;
  event.preventDefault();
  const at = buttons.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  const next = event.key === "ArrowUp" ? (at < 0 ? buttons.length : at) - 1 : at + 1;
  (buttons[next] || log).focus();
}

/** @param {HTMLElement} log @param {(target: EventTarget|null) => void} action */
function longPress(log, action) {
  let timer = 0;
  const stop = () => clearTimeout(timer);
  log.addEventListener("pointerdown", (event) => {
    stop();
    if (event.pointerType === "touch") timer = window.setTimeout(() => action(event.target), LONG_PRESS_MS);
  });
  for (const type of ["pointerup", "pointercancel", "pointermove", "scroll"]) log.addEventListener(type, stop, { passive: true });
  log.addEventListener("contextmenu", (event) => {
    if (/** @type {PointerEvent} */ (event).pointerType === "touch") event.preventDefault();
  });
}
