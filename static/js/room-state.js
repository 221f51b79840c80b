// @ts-check
/**
 * The room as everybody in it sees it, and the one function that folds events into it.
 *
 * An old snapshot and the events since make the room of now. The server has the same rules and the
 * same golden files (tests/wire/). All is pure.
 */

/** @typedef {import("./types.js").RoomState} RoomState */
/** @typedef {import("./types.js").FlashSale} FlashSale */

/** A sale in one of these states sells nothing any more. */
const FINISHED = new Set(["ended", "cancelled"]);

/** A room in which nothing has happened yet. @returns {RoomState} */
export function emptyRoom() {
  return {
    room: null,
    shelf: [],
    pinned: null,
    notice: null,
    flash_sales: [],
    rehearsal_sale: null,
    chat_rules: { slow_mode_seconds: 0, muted_all: false, links: true },
    video: null,
    stats: { online: 0, likes: 0 },
  };
}

/** event type -> the part that it replaces whole. @type {Record<string, (event: any) => Partial<RoomState>>} */
const PARTS = {
  "room.started": (event) => ({ room: event.room }),
  "room.updated": (event) => ({ room: event.room }),
  "room.ended": (event) => ({ room: event.room }),
  "room.notice": (event) => ({ notice: event.text }),
  "room.stats": (event) => ({ stats: { online: event.online, likes: event.likes } }),
  "shelf.updated": (event) => ({ shelf: event.items }),
  "rehearsal.sale": (event) => ({ rehearsal_sale: event.flash_sale }),
  "shelf.pinned": (event) => ({ pinned: event.product_id }),
  "video.started": (event) => ({ video: event.video }),
  "video.stopped": (event) => ({ video: event.video }),
  "chat.rules": (event) => ({
    chat_rules: {
      slow_mode_seconds: event.slow_mode_seconds,
      muted_all: event.muted_all,
      links: event.links,
    },
  }),
};

/**
 * The room after one event. Every event is accepted in every state, because it has happened. Types
 * that are not known change nothing, so that an old page survives a new server.
 *
 * @param {RoomState} state not changed
 * @param {any} event
 * @returns {RoomState}
 */
export function apply(state, event) {
  if (event.type === "flash_sale.updated") {
    return tidied({ ...state, flash_sales: withSale(state.flash_sales, event.flash_sale) });
  }
  const part = Object.prototype.hasOwnProperty.call(PARTS, event.type) ? PARTS[event.type] : null;
  if (!part) return state;
  const changed = { ...state, ...part(event) };
  return event.type.startsWith("room.") && event.room ? tidied(changed) : changed;
}

/** The state that a snapshot carries. @param {any} snapshot @returns {RoomState} */
export function fromSnapshot(snapshot) {
  const state = emptyRoom();
  for (const part of /** @type {(keyof RoomState)[]} */ (Object.keys(state))) {
    if (snapshot[part] !== undefined) /** @type {any} */ (state)[part] = snapshot[part];
  }
  return tidied(state);
}

/** @param {FlashSale[]} sales @param {FlashSale} sale */
function withSale(sales, sale) {
  const known = sales.find((other) => other.id === sale.id);
  if (known && known.version >= sale.version) return sales;
  return [...sales.filter((other) => other.id !== sale.id), sale];
}

/** Sales in order of start, without those finished before the show began. @param {RoomState} state */
function tidied(state) {
  const began = state.room?.started_at;
  const sales = state.flash_sales
    .filter((sale) => !(FINISHED.has(sale.state) && began && sale.ends_at < began))
    .sort((a, b) => (a.starts_at < b.starts_at || (a.starts_at === b.starts_at && a.id < b.id) ? -1 : 1));
  return { ...state, flash_sales: sales };
}

/** Whether nothing is sold. @param {RoomState} state */
export const isRehearsing = ({ room }) => room?.state === "live" && room.rehearsal === true;

/** What this rehearsal tries. @param {RoomState} state @returns {FlashSale[]} */
export function triedSales(state) {
  const sale = state.rehearsal_sale;
  return sale && sale.show === state.room?.show ? [{ ...sale, tried: true }] : [];
}

/** The product being explained. @param {RoomState} state */
export function pinnedProduct(state) {
  return state.shelf.find((item) => item.id === state.pinned) || null;
}

/**
 * What a sale is for the buyer at a moment: the server's word, and between two words its clock.
 *
 * @param {FlashSale} sale @param {number} now server ms
 * @returns {"upcoming"|"open"|"paused"|"sold_out"|"ended"|"cancelled"}
 */
export function phase(sale, now) {
  if (sale.state === "cancelled" || sale.state === "ended") return sale.state;
  if (now >= Date.parse(sale.ends_at)) return "ended";
  if (sale.paused_at) return "paused";
  if (sale.state === "sold_out" || sale.units_left <= 0) return "sold_out";
  return now < Date.parse(sale.starts_at) ? "upcoming" : "open";
}

/** How long a finished sale stays on the stage, so that everybody reads how it ended. */
export const FINISHED_SHOWN_MS = 120_000;

/**
 * The sales worth showing, most urgent first: open by end, then paused and upcoming by start, then sold out,
 * newest first. Those that are over show only while there is nothing else.
 *
 * @param {RoomState} state @param {number} now server ms @returns {FlashSale[]}
 */
export function salesOnStage(state, now) {
  const rank = { open: 0, paused: 1, upcoming: 1, sold_out: 2, ended: 3, cancelled: 3 };
  const isOver = (/** @type {FlashSale} */ sale) => rank[phase(sale, now)] === 3;
  const all = [...state.flash_sales, ...triedSales(state)];
  const running = all.filter((sale) => !isOver(sale));
  const over = all.filter((sale) => now - Date.parse(sale.ends_at) < FINISHED_SHOWN_MS);
  const shown = running.length ? running : over.slice(-1);
  return shown.sort((a, b) => {
    const [one, two] = [rank[phase(a, now)], rank[phase(b, now)]];
    if (one !== two) return one - two;
    if (one === 0) return Date.parse(a.ends_at) - Date.parse(b.ends_at);
    const byStart = Date.parse(a.starts_at) - Date.parse(b.starts_at);
    return one === 1 ? byStart : -byStart;
  });
}
