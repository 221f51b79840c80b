// @ts-check
/** Which lines of a chat ask something, so that a host can come back to them. */

/** A question mark anywhere, or a Chinese particle that asks at the end. */
const ASKS = /[?？]|[吗呢嘛][。!！~～]*$/;
/** Addresses hold question marks that ask nothing. */
const ADDRESS = /https?:\/\/\S+/g;

/** @param {string} text */
export const asks = (text) => ASKS.test(text.replace(ADDRESS, " ").trim());
