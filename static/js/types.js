// @ts-check
/**
 * The objects of the public contract, as types for the checker. No code.
 *
 * @typedef {{id: string, title: string, state: "idle"|"live"|"ended", show: string|null,
 *   started_at: string|null, merchant_ids: string[], rehearsal?: boolean}} Room
 *
 * @typedef {{id: string, sku: string, merchant: string, title: string, description: string,
 *   terms: string, seller_name: string, price_cents: number, list_price_cents: number|null,
 *   currency: string, stock: number, image_url: string|null}} Product
 *
 * @typedef {Product & {number: number}} ShelfItem
 *
 * @typedef {{id: string, room: string, show: string|null, product_id: string, sku: string,
 *   title: string, price_cents: number, list_price_cents: number|null, currency: string,
 *   units_total: number, units_left: number, per_buyer_limit: number, buyers: "account"|"guest",
 *   hold_seconds: number, starts_at: string, ends_at: string,
 *   state: "scheduled"|"running"|"sold_out"|"ended"|"cancelled", version: number,
 *   host_away?: "go_on"|"pause", paused_at?: string|null, tried?: boolean}} FlashSale
 *
 * @typedef {{flash_sale: string, state: "none"|"waiting"|"offered"|"left"|"passed"|"over",
 *   position: number|null, waiting: number, quantity: number, order: string|null,
 *   joined_at: string|null}} Place
 *
 * @typedef {{product_id: string, sku: string, title: string, quantity: number,
 *   unit_price_cents: number}} Line
 *
 * @typedef {{id: string, state: string, sequence: number, merchant: string, lines: Line[],
 *   amount_cents: number, refunded_cents: number, currency: string, room: string|null,
 *   show: string|null, flash_sale: string|null, source: string,
 *   buyer: {id: string, name: string}, checkout_url: string|null, created_at: string,
 *   expires_at: string|null, paid_at: string|null, discount_cents: number,
 *   coupon: {id: string, code: string}|null, replaces: string|null,
 *   delivery: Record<string, any>|null,
 *   shipment: {carrier?: string, tracking?: string, shipped_at?: string}|null}} Order
 *
 * @typedef {{id: string, merchant: string, code: string, kind: "amount"|"percent", value: number,
 *   min_amount_cents: number, currency: string, budget_cents: number, used_cents: number,
 *   per_buyer_limit: number, starts_at: string, ends_at: string|null}} Coupon
 *
 * @typedef {{slow_mode_seconds: number, muted_all: boolean, links: boolean}} ChatRules
 *
 * @typedef {{room: Room|null, shelf: ShelfItem[], pinned: string|null, notice: string|null,
 *   flash_sales: FlashSale[], rehearsal_sale: FlashSale|null, chat_rules: ChatRules, video: object|null,
 *   stats: {online: number, likes: number}}} RoomState
 *
 * @typedef {RoomState & {position: {epoch: string, offset: number}, server_time: number}} Snapshot
 *
 * @typedef {{id: string, name: string, badges: string[]}} Speaker
 *
 * @typedef {{type: "chat", id: string, user: Speaker, text: string, at: number,
 *   reply_to?: string}} ChatMessage
 *
 * @typedef {{id: string, user: Speaker, text: string, mode: "scroll"|"top"|"bottom",
 *   color: string|null, at: number}} DanmakuItem
 *
 * @typedef {{user: string, name: string, role: string, guest: boolean, rooms: string[],
 *   merchant: string|null}} Session
 */

export {};
