// @ts-check
/**
 * Whether this viewer may speak in the room, as far as the page knows: the room's rules, and what the
 * server said about the viewer, on their own channel or with a refusal.
 */

import { asProblem } from "../api.js";
import { toast } from "../components/toast.js";
import { clockTime } from "../format.js";
import { t } from "../i18n.js";

/** Timers of browsers hold at most this many ms; a longer mute is looked at again then. */
const TIMER_MAX_MS = 2_000_000_000;

export class SpeakingRight {
  /** @param {import("../room-store.js").RoomStore} store @param {() => void} onChange */
  constructor(store, onChange) {
    this.store = store;
    this.onChange = onChange;
    this.banned = false;
    /** @type {string|null} RFC 3339 */
    this.mutedUntil = null;
    this.timer = 0;
    store.socket.addEventListener("personal", (event) => this.hear(/** @type {CustomEvent} */ (event).detail));
  }

  /** Why the viewer cannot speak, in words; null if they may. */
  hindrance() {
    if (this.banned) return t("chat.banned");
    if (this.mutedUntil && Date.parse(this.mutedUntil) > Date.now()) return t("chat.muted_until", { at: clockTime(this.mutedUntil) });
    if (this.store.state.chat_rules.muted_all) return t("chat.muted_all");
    return null;
  }

  /** @param {any} event on the viewer's own channel */
  hear(event) {
    if (event.room !== this.store.id) return;
    if (event.type === "moderation.muted") {
      this.mute(event.until);
      if (this.hindrance()) toast(t("reason.muted", { at: clockTime(event.until) }), "bad"); // not for a mute of long ago
    } else if (event.type === "moderation.banned") {
      this.banned = event.banned;
      if (event.banned) toast(t("reason.banned"), "bad");
      this.onChange();
    } else if (event.type === "moderation.held") toast(t(`held_to_sender.${event.state}`));
    else if (event.type === "moderation.report") toast(t(`report_outcome.${event.state}`), "good");
  }

  /** @param {unknown} error the refusal of a message */
  learn(error) {
    const problem = asProblem(error);
    if (problem.reason === "banned") this.banned = true;
    else if (problem.reason === "muted") this.mute(/until (\S+Z)/.exec(problem.detail)?.[1] || null);
  }

  /** @param {string|null} until null: not any more */
  mute(until) {
    this.mutedUntil = until;
    clearTimeout(this.timer);
    if (until) this.timer = window.setTimeout(() => this.onChange(), Math.min(TIMER_MAX_MS, Math.max(0, Date.parse(until) - Date.now()) + 500));
    this.onChange();
  }
}
