// @ts-check
/**
 * Set-up. With the one-time link (`?token=`): the first administrator and the shop. Signed in as
 * administrator: the shop's settings, accounts and rooms.
 *
 * testids: setup-form, setup-shop, setup-language, setup-url, setup-user, setup-password,
 * setup-submit, setup-problem; settings-form, settings-shop, settings-language, settings-url,
 * settings-save; room-form, room-id, room-title-input, room-merchants, room-save, room-problem,
 * room-row (data-room); user-form, user-role, user-name, user-shown, user-password, user-rooms,
 * user-merchant, user-save, user-problem, user-row (data-user), user-toggle, user-passwd
 */

import { signIn } from "../account.js";
import { explain, get, patch, path, post } from "../api.js";
import { frame } from "../components/frame.js";
import { busy, chip, empty, field } from "../components/product-bits.js";
import { makeSheet } from "../components/sheet.js";
import { toast } from "../components/toast.js";
import { config } from "../config.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { begin } from "../page.js";
import { find, signInAddress } from "../session.js";

/** @typedef {import("../types.js").Room} Room */
/** @typedef {{user: string, name: string, role: string, rooms: string[], merchant: string|null, disabled: boolean}} Account */

/** @param {unknown} error */
const complain = (error) => toast(explain(error), "bad");

/** @param {Record<string, any>} more */
const text = (more) => h("input", { type: "text", autocomplete: "off", spellcheck: false, autocapitalize: "none", ...more });
/** @param {Record<string, any>} more */
const password = (more) => h("input", { type: "password", required: true, minLength: 8, maxLength: 256, autocomplete: "new-password", ...more });

/** @param {string} testid @param {string} value */
function languages(testid, value) {
  const options = [
    ["auto", t("setup.language_auto")],
    ["zh-CN", "中文"],
    ["en", "English"],
  ];
  const select = h("select", { testid }, options.map(([code, name]) => h("option", { value: code }, name)));
  select.value = value;
  return select;
}

/**
 * @param {string} testid @param {import("../h.js").Child[]} fields @param {string} words on the button
 * @param {string} buttonId @param {() => Promise<unknown>} send
 */
function makeForm(testid, fields, words, buttonId, send) {
  const problem = h("p", { class: "problem", role: "alert", hidden: true, testid: testid.replace("-form", "-problem") });
  const button = h("button", { type: "submit", class: "button primary", testid: buttonId }, words);
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    problem.hidden = true;
    void busy(button, send, (error) => {
      problem.hidden = false;
      fill(problem, explain(error));
    });
  };
  return h("form", { class: "card stack", testid, on: { submit } }, ...fields, problem, h("div", { class: "actions" }, button));
}

/** The first start. @param {string} token */
function firstStart(token) {
  const shop = text({ required: true, maxLength: 60, testid: "setup-shop" });
  const language = languages("setup-language", "auto");
  const address = text({ type: "url", value: location.origin, maxLength: 250, testid: "setup-url" });
  const user = text({ required: true, maxLength: 40, pattern: "[a-z0-9][a-z0-9_.\\-]*", autocomplete: "username", value: "admin", testid: "setup-user" });
  const secret = password({ testid: "setup-password" });
  const send = async () => {
    await post("/v1/setup", { token, user: user.value.trim(), password: secret.value, shop_name: shop.value.trim(), language: language.value, public_url: address.value.trim() });
    await signIn(user.value.trim(), secret.value);
    location.replace("/setup");
  };
  const fields = [
    field(t("setup.shop"), shop, t("setup.shop_hint")),
    field(t("setup.language"), language),
    field(t("setup.url"), address, t("setup.url_hint")),
    field(t("setup.user"), user, t("setup.name_hint")),
    field(t("setup.password"), secret, t("setup.password_hint")),
  ];
  frame({ title: t("setup.first_title"), lead: t("setup.first_lead") }, h("div", { class: "narrow" }, makeForm("setup-form", fields, t("setup.submit"), "setup-submit", send)));
}

/* administration */

class Administration {
  constructor() {
    this.rooms = h("ul", { class: "row-list" });
    this.users = h("ul", { class: "row-list" });
    this.settings = h("div");
    /** @type {HTMLSelectElement} */
    this.userRooms = h("select", { multiple: true, size: 3, testid: "user-rooms" });
  }

  layOut() {
    frame(
      { title: t("setup.title"), lead: t("setup.lead"), wide: true },
      h(
        "div",
        { class: "admin-grid" },
        h("section", { class: "stack" }, h("h2", null, t("setup.rooms")), this.roomForm(), this.rooms),
        h("section", { class: "stack" }, h("h2", null, t("setup.users")), this.userForm(), this.users),
        h("section", { class: "stack" }, h("h2", null, t("setup.settings")), this.settings),
      ),
    );
  }

  async load() {
    const [rooms, users] = await Promise.all([get("/v1/rooms?limit=200"), get("/v1/users?limit=200")]);
    this.drawRooms(rooms.items);
    this.drawUsers(users.items);
  }

  async loadSettings() {
    const now = await get("/v1/settings");
    const shop = text({ required: true, maxLength: 60, value: now.shop_name, testid: "settings-shop" });
    const language = languages("settings-language", now.language);
    const address = text({ type: "url", value: now.public_url, maxLength: 250, testid: "settings-url" });
    const send = async () => {
      await patch("/v1/settings", { shop_name: shop.value.trim(), language: language.value, public_url: address.value.trim() });
      toast(t("merchant.saved"), "good");
    };
    const fields = [field(t("setup.shop"), shop), field(t("setup.language"), language), field(t("setup.url"), address, t("setup.url_hint"))];
    fill(this.settings, makeForm("settings-form", fields, t("common.save"), "settings-save", send));
  }

  roomForm() {
    const id = text({ required: true, maxLength: 40, pattern: "[a-z0-9\\-]+", testid: "room-id" });
    const title = text({ required: true, maxLength: 100, testid: "room-title-input" });
    const merchants = text({ maxLength: 400, testid: "room-merchants" });
    const send = async () => {
      await post("/v1/rooms", { id: id.value.trim(), title: title.value.trim(), merchant_ids: words(merchants.value) });
      for (const input of [id, title]) input.value = "";
      await this.load();
    };
    const fields = [field(t("setup.room_title"), title), field(t("setup.room_id"), id, t("setup.room_id_hint")), field(t("setup.room_merchants"), merchants, t("setup.room_merchants_hint"))];
    return makeForm("room-form", fields, t("setup.room_save"), "room-save", send);
  }

  /** @param {Room[]} rooms */
  drawRooms(rooms) {
    const chosen = Array.from(this.userRooms.selectedOptions).map((option) => option.value);
    fill(this.userRooms, rooms.map((room) => h("option", { value: room.id, selected: chosen.includes(room.id) }, room.title)));
    fill(
      this.rooms,
      rooms.map((room) =>
        h(
          "li",
          { class: "card row", testid: "room-row", "data-room": room.id },
          h("div", { class: "row-about" }, h("p", { class: "run-title" }, room.title), h("p", { class: "soft small" }, room.id)),
          h("div", { class: "row-actions" }, h("a", { href: path`/rooms/${room.id}`, class: "button small" }, t("setup.open_room")), h("a", { href: path`/console/${room.id}`, class: "button small" }, t("lobby.console"))),
        ),
      ),
    );
  }

  userForm() {
    const roles = /** @type {[string, string][]} */ ([
      ["merchant", t("role.merchant")],
      ["streamer", t("role.streamer")],
      ["moderator", t("role.moderator")],
      ["admin", t("role.admin")],
    ]);
    const role = h("select", { testid: "user-role" }, roles.map(([code, name]) => h("option", { value: code }, name)));
    const name = text({ required: true, maxLength: 40, pattern: "[a-z0-9][a-z0-9_.\\-]*", testid: "user-name" });
    const shown = text({ maxLength: 24, testid: "user-shown" });
    const secret = password({ testid: "user-password" });
    const merchant = text({ maxLength: 40, pattern: "[a-z0-9][a-z0-9_.\\-]*", testid: "user-merchant" });
    const roomField = field(t("setup.user_rooms"), this.userRooms, t("setup.user_rooms_hint"));
    const merchantField = field(t("setup.user_merchant"), merchant, t("setup.user_merchant_hint"));
    const fit = () => {
      roomField.hidden = !["streamer", "moderator"].includes(role.value);
      merchantField.hidden = role.value !== "merchant";
    };
    role.addEventListener("change", fit);
    fit();
    const send = async () => {
      await post("/v1/users", {
        user: name.value.trim(),
        password: secret.value,
        role: role.value,
        ...(shown.value.trim() ? { name: shown.value.trim() } : {}),
        ...(roomField.hidden ? {} : { rooms: Array.from(this.userRooms.selectedOptions).map((option) => option.value) }),
        ...(merchantField.hidden || !merchant.value.trim() ? {} : { merchant: merchant.value.trim() }),
      });
      for (const input of [name, shown, secret, merchant]) input.value = "";
      await this.load();
    };
    const fields = [field(t("setup.user_role"), role), field(t("setup.user"), name, t("setup.name_hint")), field(t("setup.user_shown"), shown), field(t("setup.password"), secret, t("setup.password_hint")), roomField, merchantField];
    return makeForm("user-form", fields, t("setup.user_save"), "user-save", send);
  }

  /** @param {Account[]} users */
  drawUsers(users) {
    fill(this.users, users.map((user) => this.userRow(user)));
  }

  /** @param {Account} user */
  userRow(user) {
    const toggle = h("button", { type: "button", class: "button small", testid: "user-toggle" }, user.disabled ? t("setup.user_enable") : t("setup.user_disable"));
    const turn = async () => {
      await patch(path`/v1/users/${user.user}`, { disabled: !user.disabled });
      await this.load();
    };
    toggle.addEventListener("click", () => busy(toggle, turn, complain));
    return h(
      "li",
      { class: "card row", testid: "user-row", "data-user": user.user },
      h("div", { class: "row-about" }, h("p", { class: "run-title" }, h("bdi", null, user.name || user.user)), h("p", { class: "run-line" }, chip(t(`role.${user.role}`)), h("span", { class: "soft small" }, [user.user, user.merchant, ...user.rooms].filter(Boolean).join(" · ")), user.disabled ? chip(t("setup.disabled"), "bad") : null)),
      h("div", { class: "row-actions" }, h("button", { type: "button", class: "button small", testid: "user-passwd", on: { click: () => this.passwd(user) } }, t("setup.user_passwd")), toggle),
    );
  }

  /** @param {Account} user */
  passwd(user) {
    const sheet = makeSheet({ title: t("setup.passwd_of", { name: user.user }), testid: "passwd-sheet" });
    const secret = password({ testid: "passwd-password" });
    const send = async () => {
      await patch(path`/v1/users/${user.user}`, { password: secret.value });
      sheet.close();
      toast(t("merchant.saved"), "good");
    };
    fill(sheet.body, makeForm("passwd-form", [field(t("setup.password"), secret, t("setup.password_hint"))], t("common.save"), "passwd-save", send));
    sheet.open();
  }
}

/** Words between commas and spaces. @param {string} list */
const words = (list) => list.split(/[\s,，、]+/).filter(Boolean);

async function show() {
  const token = new URLSearchParams(location.search).get("token");
  if (token && (config().needs_setup || !config().version)) {
    firstStart(token);
    return;
  }
  const who = await find();
  if (!who || who.role !== "admin") {
    const way = h("a", { href: signInAddress(), class: "button primary", testid: "sign-in-here" }, t("common.sign_in"));
    frame({ title: t("setup.title") }, empty(t("setup.sign_in"), token ? t("setup.link_used") : t("setup.link_hint"), way));
    return;
  }
  const page = new Administration();
  page.layOut();
  await Promise.all([page.load(), page.loadSettings()]);
}

void begin("setup.title", show);
