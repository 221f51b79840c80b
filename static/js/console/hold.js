// @ts-check
/**
 * A button for what cannot be taken back: held for two seconds with pointer, Enter or Space. A short
 * press says so; assistive technology that can only press is asked instead.
 */

import { ask } from "../components/sheet.js";
import { toast } from "../components/toast.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";

/** How long it is held, in ms; the style sheet fills the button in the same time. */
export const HOLD_MS = 2_000;
const TICK_MS = 100;

/**
 * @param {{testid: string, words: string, hint: string, className?: string,
 *   action: (button: HTMLButtonElement) => unknown}} options
 */
export function holdButton({ testid, words, hint, className = "button danger", action }) {
  const said = h("span", { class: "hold-words" }, words);
  const button = h("button", { type: "button", class: `${className} hold`, testid, title: hint }, h("span", { class: "hold-fill", "aria-hidden": "true" }), said);
  let timer = 0;
  const release = () => {
    clearInterval(timer);
    timer = 0;
    button.classList.remove("held");
    fill(said, words);
  };
  const start = () => {
    if (timer || button.disabled) return;
    const until = performance.now() + HOLD_MS;
    const tick = () => {
      const left = until - performance.now();
      fill(said, t("hold.keep", { n: Math.max(1, Math.ceil(left / 1000)) }));
      if (left > 0) return;
      release();
      action(button);
    };
    button.classList.add("held");
    timer = window.setInterval(tick, TICK_MS);
    tick();
  };
  const stop = () => {
    if (!timer) return;
    release();
    toast(hint);
  };
  button.addEventListener("pointerdown", (event) => event.button === 0 && start());
  for (const type of ["pointerup", "pointerleave", "pointercancel", "keyup", "blur"]) button.addEventListener(type, stop);
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  button.addEventListener("keydown", (event) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    start();
  });
  button.addEventListener("keyup", (event) => event.preventDefault());
  button.addEventListener("click", async (event) => {
    const byItself = event.detail === 0; // neither pointer nor key: a screen reader's or voice control's press
    if (byItself && (await ask({ title: words, yes: t("hold.yes"), danger: true }))) action(button);
  });
  return button;
}
