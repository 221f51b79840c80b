// @ts-check
/** The switch of elder mode. testid: elder */

import { isElder } from "../elder.js";
import { h } from "../h.js";
import { t } from "../i18n.js";
import { save } from "../storage.js";

/** The way in, and the way back; the page is drawn anew. */
export function elderButton() {
  const change = () => {
    save("elder", isElder() ? null : true);
    const address = new URL(location.href);
    address.searchParams.delete("elder");
    location.replace(address.href);
  };
  return h("button", { type: "button", class: "link-button", testid: "elder", "aria-pressed": String(isElder()), on: { click: change } }, isElder() ? t("elder.off") : t("elder.on"));
}
