// @ts-check
/** Why a delivery did not arrive, in the reader's language: the API says it in English for programs. */

import { t } from "../i18n.js";

/** As orders/webhooks_http.py and orders/webhooks.py begin them, then what systems and aiohttp say. @type {[RegExp, () => string][]} */
const KNOWN = [
  [/^the connection was refused/, () => t("webhook.why_refused")],
  [/^no connection within/, () => t("webhook.why_unreachable")],
  [/^no answer/, () => t("webhook.why_silent")],
  [/^the host name cannot be resolved/, () => t("webhook.why_host")],
  [/^the certificate is not valid/, () => t("webhook.why_certificate")],
  [/^not sent: /, () => t("webhook.why_address")],
  [/^answered 410/, () => t("webhook.why_gone")],
  [/^answered 3\d\d/, () => t("webhook.why_redirect")],
  [/reset by peer|disconnected|broken pipe|payload/i, () => t("webhook.why_cut")],
  [/unreachable|no route|cannot connect/i, () => t("webhook.why_unreachable")],
  [/ssl|tls/i, () => t("webhook.why_secure")],
  [/^answered \d+$/, () => ""], // the status stands beside it
];

/** @param {number|null} status of the last attempt @param {string|null} error as the API gives it */
export function whyNot(status, error) {
  const known = KNOWN.find(([begin]) => begin.test(error || ""));
  const words = known ? known[1]() : error ? t("webhook.why_other", { detail: error }) : "";
  return [status ? `HTTP ${status}` : "", words].filter(Boolean).join(" · ") || "–";
}
