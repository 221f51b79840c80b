// @ts-check
/** The moderation routes of one room. */

import { get, patch, path, post, put, remove } from "../api.js";

/** What people are muted, banned and reported for. What they think of the goods is none of it. */
export const REASONS = ["spam", "abuse", "fraud", "sexual", "violence", "privacy", "minors", "illegal", "other"];

/** @typedef {"refuse"|"hold"|"mask"|"pass"} Action */
/** @typedef {{name: string, action: Action, words: string[]}} WordList */
/** @typedef {{user: string, name: string, until: string|null, reason: string, by: string, created_at: string}} Sanction */
/** @typedef {{id: string, user: string, name: string, message: string|null, text: string, reason: string, note: string, created_at: string}} Report */
/** @typedef {{id: string, user: string, name: string, text: string, list: string, created_at: string}} Held */
/** @typedef {{number: number, created_at: string, actor: string, action: string, target: string, reason: string, details: Record<string, any>}} AuditEntry */

/** @param {string} room */
export const moderationOf = (room) => ({
  /** @param {Partial<import("../types.js").ChatRules>} changes */
  rules: (changes) => patch(path`/v1/rooms/${room}/chat`, changes),
  /** @param {string} id @param {string} reason */
  deleteMessage: (id, reason) => remove(path`/v1/rooms/${room}/messages/${id}` + path`?reason=${reason}`),
  /** @param {{user: string, seconds: number, reason: string, delete_messages?: boolean}} body */
  mute: (body) => post(path`/v1/rooms/${room}/mutes`, body),
  /** @param {{user: string, reason: string, delete_messages?: boolean}} body */
  ban: (body) => post(path`/v1/rooms/${room}/bans`, body),
  /** @param {"mutes"|"bans"} kind @param {string} user */
  lift: (kind, user) => remove(path`/v1/rooms/${room}/${kind}/${user}`),
  /** @param {"mutes"|"bans"} kind @returns {Promise<Sanction[]>} */
  sanctions: async (kind) => (await get(path`/v1/rooms/${room}/${kind}?limit=200`)).items,
  /** @returns {Promise<WordList[]>} */
  wordLists: async () => (await get(path`/v1/rooms/${room}/word-lists`)).items,
  /** @param {WordList[]} items @returns {Promise<WordList[]>} */
  putWordLists: async (items) => (await put(path`/v1/rooms/${room}/word-lists`, { items })).items,
  /** @param {{message?: string, user?: string, reason: string, note: string}} body */
  report: (body) => post(path`/v1/rooms/${room}/reports`, body),
  /** @returns {Promise<Report[]>} */
  reports: async () => (await get(path`/v1/rooms/${room}/reports?limit=200`)).items,
  /** @param {string} id @param {"upheld"|"dismissed"} state */
  decideReport: (id, state) => post(path`/v1/rooms/${room}/reports/${id}/decide`, { state }),
  /** @returns {Promise<Held[]>} */
  held: async () => (await get(path`/v1/rooms/${room}/held?limit=200`)).items,
  /** @param {string} id @param {"shown"|"refused"} state */
  decideHeld: (id, state) => post(path`/v1/rooms/${room}/held/${id}/decide`, { state }),
  /** @param {string|null} cursor @returns {Promise<{items: AuditEntry[], next_cursor: string|null}>} */
  audit: (cursor) => get(path`/v1/rooms/${room}/audit?limit=50` + (cursor ? path`&cursor=${cursor}` : "")),
});

/** @typedef {ReturnType<typeof moderationOf>} ModerationApi */
