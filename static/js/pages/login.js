// @ts-check
/**
 * Sign-in with an account. Comes back to `?next=` (a path of ours only).
 *
 * testids: login-form, login-user, login-password, login-submit, login-problem
 */

import { signIn, wayBack } from "../account.js";
import { explain } from "../api.js";
import { frame } from "../components/frame.js";
import { busy, field } from "../components/product-bits.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { begin } from "../page.js";
import { find } from "../session.js";

/** Where to go after signing in: only a path of this site. @param {string} role */
function next(role) {
  const asked = new URLSearchParams(location.search).get("next") || "";
  return wayBack(asked, location.origin) || { merchant: "/merchant", admin: "/setup" }[role] || "/";
}

async function show() {
  await find().catch(() => null);
  const user = h("input", { type: "text", required: true, autocomplete: "username", autocapitalize: "none", spellcheck: false, maxLength: 64, testid: "login-user" });
  const password = h("input", { type: "password", required: true, autocomplete: "current-password", maxLength: 200, testid: "login-password" });
  const problem = h("p", { class: "problem", role: "alert", hidden: true, testid: "login-problem" });
  const button = h("button", { type: "submit", class: "button primary block big", testid: "login-submit" }, t("login.submit"));
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    problem.hidden = true;
    const enter = async () => {
      const who = await signIn(user.value.trim(), password.value);
      location.assign(next(who.role));
    };
    void busy(button, enter, (error) => {
      problem.hidden = false;
      fill(problem, wrong(error));
    });
  };
  const form = h("form", { class: "card stack narrow", testid: "login-form", on: { submit } }, field(t("login.user"), user), field(t("login.password"), password), problem, button);
  frame({ title: t("login.title"), lead: t("login.lead") }, form, h("p", { class: "soft small" }, t("login.watch_free")));
  user.focus();
}

/** @param {any} error */
function wrong(error) {
  return error && (error.name === "unauthorized" || error.name === "forbidden") ? t("login.wrong") : explain(error);
}

void begin("login.title", show);
