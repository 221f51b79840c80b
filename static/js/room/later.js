// @ts-check
/** What the room opens by a press: fetched once the room is live and has time, or at the press. */

import { nameSheet } from "../components/chat-composer.js";
import { later, pressed, whenIdle } from "../later.js";
import { messageMenu } from "../moderation/message-buttons.js";
import { saving } from "../saver.js";
import { load } from "../storage.js";

/** Presses that were never answered are asked again. */
export const buying = later(() => import("../buying.js"));
/** Lines before sold-out sales. */
export const waitlists = later(() => import("../waitlists.js"));
/** The player of the host's picture; both modules at once, since a picture is waited for. */
export const stagePicture = later(async () => (await Promise.all([import("../video/stage-picture.js"), import("../video/whep.js")]))[0]);
/** The lane of captions. */
export const captionLane = later(() => import("../components/caption-lane.js"));
const buyFlash = later(() => import("../components/buy-flash.js"));
const buyProduct = later(() => import("../components/buy-product.js"));
const shelfSheet = later(() => import("../components/shelf-sheet.js"));
const share = later(() => import("../components/share-sheet.js"));
const settings = later(() => import("../components/room-settings.js"));

export const withFlash = pressed(buyFlash);
export const withProduct = pressed(buyProduct);
export const withOrder = pressed(later(() => import("../components/buy-sheet.js")));
export const withShelf = pressed(shelfSheet);
export const withSettings = pressed(settings);
export const withShare = pressed(share);
const withShortcuts = pressed(later(() => import("./shortcuts.js")));

/** The head of other pages, for a room that cannot be shown. */
export const siteHead = later(() => import("../components/site-header.js"));
/** What elder mode adds. */
export const elderAids = later(() => import("./elder-aids.js"));

/**
 * Fetches once the socket stands what presses will want. Buying must not wait for a weak network; with
 * the data saver on, the rest comes when it is pressed. @param {import("../socket.js").Socket} socket
 */
export function fetchWhenLive(socket) {
  const begin = () => {
    if (!socket.connected) return;
    socket.removeEventListener("connection", begin);
    whenIdle([buyFlash, buyProduct, ...(saving() ? [] : [nameSheet, messageMenu, shelfSheet, settings, stagePicture])]);
  };
  socket.addEventListener("connection", begin);
}

/** The keys that do something in a room (room/shortcuts.js). */
const KEYS = new Set(["k", " ", "m", "d", "c", "/"]);

/**
 * Keys act where no field and no control has the focus, and can be off (WCAG 2.2, 2.1.4).
 * @param {import("./shortcuts.js").Things} things
 */
export function followKeys(things) {
  document.addEventListener("keydown", (event) => {
    const key = (event.key || "").toLowerCase(); // a browser that fills in fields names none
    const held = event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing;
    if (held || !KEYS.has(key) || event.target !== document.body || document.querySelector("dialog[open]") || load("shortcuts") === false) return;
    event.preventDefault(); // a browser may have a search of its own on /
    void withShortcuts((module) => module.act(key, things));
  });
}
