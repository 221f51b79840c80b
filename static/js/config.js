// @ts-check
/**
 * What the shop says about itself before anybody signed in: name, language, ways to pay; and whether
 * this browser brought a session along, since the cookie is hidden from scripts.
 */

/**
 * @typedef {{shop_name: string, language: "auto"|"zh-CN"|"en", public_url: string, demo: boolean,
 *   payments: string[], needs_setup: boolean, version: string, embed_origins?: string[],
 *   session?: boolean}} Config
 */

/** @type {Config} */
let known = { shop_name: "", language: "auto", public_url: "", demo: false, payments: [], needs_setup: false, version: "" };

/** The shop's configuration; empty until `loadConfig` has read it. */
export const config = () => known;

/** Reads it once; a page works without. */
export async function loadConfig() {
  try {
    const answer = await fetch("/v1/config", { headers: { Accept: "application/json" } });
    if (answer.ok) known = { ...known, ...(await answer.json()) };
  } catch {
    // the page's own requests say what is wrong
  }
}
