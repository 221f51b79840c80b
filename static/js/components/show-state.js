// @ts-check
/** What a room is just now, in words and as the class of its chip. */

import { t } from "../i18n.js";

/** @typedef {import("../types.js").Room} Room */

/** @param {Room} room */
export function stateWords(room) {
  if (room.rehearsal && room.state !== "idle") return room.state === "live" ? t("rehearsal.on") : t("rehearsal.over");
  return { live: t("room.live"), idle: t("room.idle"), ended: t("room.ended") }[room.state];
}

/** @param {Room} room */
export const stateClass = (room) => `live-chip ${room.state === "live" && room.rehearsal ? "rehearsal" : room.state}`;
